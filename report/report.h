// The report: what a run did, drawn from its folder alone (no torch, no network, no script).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/run_folder.h"

namespace lockstep {

// Writes RUN/report.html: scores, pictures, curves, problems, checkpoints, plan, machine and
// config in one self-contained page. Works for running, broken and empty runs. Throws
// EnvironmentError if it cannot be written.
void write_report(const RunFolder& run);

// One page with several runs side by side: scores, curves on common axes, what differs in their
// configs.
void write_comparison(const std::vector<RunFolder>& runs, const std::filesystem::path& output);

// Writes RUN/events.out.tfevents.… for TensorBoard with torchtitan's tag names, anew from
// metrics.jsonl each time. Nothing if the run logged nothing.
void write_tensorboard(const RunFolder& run);

// A few lines for the terminal at the end of a run: scores, time, loss as a sparkline, where
// the pictures and the report are, what to try next.
std::string closing_summary(const RunFolder& run);

}  // namespace lockstep
