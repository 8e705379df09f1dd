// How long an update takes by each implementation that a device offers: what
// `optimizer.implementation: auto` chooses by on a GPU (design.md 3, rule 15). On a CPU nothing is
// measured: no result may depend on a clock there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "optim/device_update.h"

namespace lockstep {

struct UpdateTime {
  Implementation implementation = Implementation::kFused;
  std::optional<double> seconds;  // of one update; none: it cannot run here
  std::string obstacle;           // then why
};

// Some updates of `setup` by each implementation its optimizer has, from the current weights and
// states, which are put back; gradients are overwritten. Exchanges between ranks are left out.
// `in_graph`: as graphs that are replayed, as a recorded step runs them; what cannot be recorded
// cannot run.
std::vector<UpdateTime> measure_updates(const DeviceUpdateSetup& setup, Device& device,
                                        DeviceQueue& queue, bool in_graph);

// The fastest; the first of them unless another one saves a twentieth. Throws EnvironmentError if
// none can run.
ImplementationChoice choose_by_times(const std::string& kind, const std::vector<UpdateTime>& times,
                                     bool in_graph);

}  // namespace lockstep
