// Settings of LibTorch that must stand before its first operation: threads and instruction set.
#pragma once

#include <string>

namespace lockstep {

// Called first in main: one intra-op thread, and the instruction set from LOCKSTEP_CPU_ISA or from
// `--run-folder`'s plan.json or an override run.cpu_isa on the command line, because ATen and
// oneDNN read theirs from the environment once.
void set_up_compute_environment(int argc, char** argv);

// Pins ATen and oneDNN to `isa` ("native", "avx2"); too late after the first operation.
void pin_isa(const std::string& isa);

}  // namespace lockstep
