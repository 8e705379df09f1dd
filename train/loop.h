// The training loop: the only one in the system, with no branch on the kind of task.
#pragma once

#include "train/session.h"

namespace lockstep {

enum class Outcome { kDone, kStopped };

// Collective. Trains from session.state().step to plan.steps: steps, metrics, evaluations,
// checkpoints, and an agreed stop. Saves before it returns.
Outcome train(Session& session);

}  // namespace lockstep
