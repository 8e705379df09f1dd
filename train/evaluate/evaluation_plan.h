// Which evaluations of the config's `evaluate` list are due after a step, and running one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "train/evaluate/evaluate.h"
#include "train/session.h"

namespace lockstep {

struct ScheduledEvaluation {
  const Choice* options = nullptr;
  int64_t every_steps = 0;  // 0: only at the end
};

struct EvaluationOutcome {
  bool given_up = false;                      // on all ranks
  Scores scores;                              // rank 0 only
  std::map<std::string, std::string> record;  // what the scores depend on besides the weights
  std::vector<ScoreInfo> declared;
};

class EvaluationPlan {
 public:
  // Collective. Makes every evaluation once, so that what a rank lacks is an error before the first
  // step, and compares over ranks what scores depend on.
  explicit EvaluationPlan(Session& session);

  // Entries due after `step` steps, in config order: every_steps divides it, or training ends here.
  // None after a stop before the end: the state is to be saved soon, and the resumed run owes them.
  std::vector<ScheduledEvaluation> due(int64_t step, bool stopping) const;

  // Whether a smaller value of this score is better, as the evaluation that gives it declares.
  bool smaller_is_better(const std::string& score) const;

  // Collective. Evaluates the averaged weights on all ranks; rank 0 gets the scores and draws
  // samples/step-N.png (further pictures of the same step: step-N-KIND.png).
  EvaluationOutcome run(const ScheduledEvaluation& entry, Session& session,
                        const EvaluationNews& news) const;

 private:
  std::unique_ptr<Evaluation> make(const Choice& choice, const Session& session) const;

  std::vector<ScheduledEvaluation> entries_;
  std::vector<ScoreInfo> declared_;
  int64_t steps_;
};

// Makes every evaluation of the config once, so that what does not fit the task, the data or a file
// is an error before any rank starts; what they give as notes. Throws ConfigError too if none of
// them gives the score that checkpoint.keep_best names.
std::vector<std::string> check_evaluations(const RunConfig& config, const Kinds& kinds);

// The value of the integer field `name` of a choice's options, or `otherwise` if it has none.
int64_t integer_option(const Choice& choice, const std::string& name, int64_t otherwise);

}  // namespace lockstep
