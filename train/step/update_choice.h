// `optimizer.implementation: auto` on a GPU: measured before a run's first step, written to
// plan.json and kept from then on, through kills and resumes (design.md 3, rule 15).
#pragma once

#include "optim/device_update.h"
#include "train/session.h"

namespace lockstep {

// Collective. What `auto` means for the session's device. Nothing if the config asks for an
// implementation, or on a CPU, where no clock decides. Otherwise, in this order:
//   the choice in plan.json
//   `fused`, if the run began before choices were kept
//   the faster one as rank 0 measures it (as graphs if steps may be recorded); it writes plan.json
// Weights and states are left as they were.
std::optional<ImplementationChoice> choose_update(Session& session, const DeviceUpdateSetup& setup,
                                                  DeviceQueue& queue, bool in_graph);

}  // namespace lockstep
