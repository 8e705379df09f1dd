// What decides a run's results, apart from data and weights (design.md 3, rule 16): all keys but
// run.folder, launch, log, checkpoint, data.threads and how ranks exchange gradients.
//
// A run may be resumed only under the identity that its checkpoint was written with; train.steps
// alone may change, under a constant schedule.
#pragma once

#include <string>
#include <vector>

#include "train/plan/run_config.h"

namespace lockstep {

// The identity as one JSON object, keys in the order of the fields; its hash names it in plan.json
// and in checkpoints.
std::string identity_json(RunConfig& config);
std::string config_hash(RunConfig& config);

// Where the identity `after` differs from `before` so that a run of `before` must not go on with
// it: "a.b.c: OLD -> NEW" each. Empty: it may. Both are texts of identity_json.
std::vector<std::string> differences_of_identity(const std::string& before,
                                                 const std::string& after);

}  // namespace lockstep
