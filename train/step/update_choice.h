// `optimizer.implementation: auto` on a GPU: measured before a run's first step, written to
// plan.json and kept from then on, through kills and resumes (design.md 3, rule 15).
#pragma once

#include "optim/device_update.h"
#include "train/session.h"

namespace lockstep {

// Collective. What `auto` means for the session's device: what its plan says; `fused` if the run
// began before choices were kept; else rank 0 measures, as graphs if the steps may be recorded, and
// writes plan.json. Nothing where the config asks for an implementation, or on a CPU, where no
// clock decides. Weights and states end up as they were.
std::optional<ImplementationChoice> choose_update(Session& session, const DeviceUpdateSetup& setup,
                                                  DeviceQueue& queue, bool in_graph);

}  // namespace lockstep
