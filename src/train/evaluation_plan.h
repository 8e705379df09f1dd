// Which evaluations of the config's `evaluate` list are due after a step, and running one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "train/session.h"

namespace lockstep {

struct ScheduledEvaluation {
  const Choice* options = nullptr;
  int64_t every_steps = 0;  // 0: only at the end
};

class EvaluationPlan {
 public:
  // Makes every evaluation once, so that what does not fit the task or the data is an error
  // before the first step.
  explicit EvaluationPlan(const Session& session);

  // Entries due after `step` steps, in config order: every_steps divides it, or training ends here.
  // None after a stop before the end: the state is to be saved soon, and the resumed run owes them.
  std::vector<ScheduledEvaluation> due(int64_t step, bool stopping) const;

  // Collective. Evaluates the averaged weights on all ranks; rank 0 gets the scores and draws
  // samples/step-N.png (further pictures of the same step: step-N-KIND.png).
  // `alive` is called after each piece of work.
  Scores run(const ScheduledEvaluation& entry, Session& session, const std::function<void()>& alive) const;

 private:
  std::vector<ScheduledEvaluation> entries_;
  int64_t steps_;
};

// Makes the config's evaluations if checkpoint.keep_best names a score, and throws ConfigError if none of
// them gives it. Opens data.validation.
void check_best_score(const RunConfig& config, const Kinds& kinds);

// The value of the integer field `name` of a choice's options, or `otherwise` if it has none.
int64_t integer_option(const Choice& choice, const std::string& name, int64_t otherwise);

}  // namespace lockstep
