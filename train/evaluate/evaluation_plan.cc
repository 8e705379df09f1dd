#include "train/evaluate/evaluation_plan.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/config/config_node.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "ddp/start_check.h"
#include "train/evaluate/evaluate.h"

namespace lockstep {
namespace {

class IntegerFinder : public FieldVisitor {
 public:
  IntegerFinder(std::string name, int64_t otherwise) : name_(std::move(name)), value_(otherwise) {}
  void field(const Field& field) override {
    if (field.name != name_) return;
    if (const auto* number = std::get_if<int64_t*>(&field.value)) value_ = **number;
  }
  int64_t value() const { return value_; }

 private:
  std::string name_;
  int64_t value_;
};

// What an evaluation may use for randomness: never the step, so that scores are comparable.
StepContext evaluation_context(const RunConfig& config) {
  return {static_cast<uint64_t>(config.run.seed), 0};
}

fs::path picture_path(const RunFolder& folder, int64_t step, const std::string& kind) {
  const fs::path first = folder.sample(step);
  if (!fs::exists(first)) return first;
  return folder.samples() / (RunFolder::step_name(step) + "-" + kind + ".png");
}

// For what goes wrong with an entry; errors without a place point to this key.
std::string making(const RunConfig& config, size_t index) {
  return fmt::format("making evaluate.{}.kind: {}", index, config.evaluate[index].kind);
}

}  // namespace

std::vector<std::string> check_evaluations(const RunConfig& config, const Kinds& kinds) {
  std::unique_ptr<Dataset> validation, train;
  if (!config.data.validation.empty())
    validation = open_data(kinds, config, config.data.validation);
  const EvaluationData data(validation.get(), [&]() -> const Dataset& {
    if (!train) train = open_data(kinds, config, config.data.train);
    return *train;
  });
  const auto task = kinds.tasks.make(config.task);
  std::vector<std::string> known, notes;
  for (size_t i = 0; i < config.evaluate.size(); ++i)
    with_context(making(config, i), [&] {
      const auto evaluation =
          task->evaluation(config.evaluate[i], data, evaluation_context(config));
      for (const ScoreInfo& score : evaluation->declared_scores()) known.push_back(score.name);
      for (const std::string& note : evaluation->notes()) notes.push_back(note);
    });
  const std::string& wanted = config.checkpoint.keep_best;
  if (wanted.empty() || std::find(known.begin(), known.end(), wanted) != known.end()) return notes;
  const std::string nearest = nearest_word(wanted, known);
  throw ConfigError(
      fmt::format("checkpoint.keep_best is '{}', and no evaluation gives this score", wanted),
      known.empty()
          ? "the evaluate list has no entry that gives scores"
          : fmt::format("{}the evaluate list gives {}",
                        nearest.empty() ? "" : fmt::format("did you mean '{}'? ", nearest),
                        fmt::join(known, ", ")));
}

EvaluationPlan::EvaluationPlan(Session& session) : steps_(session.plan().steps) {
  std::string records;
  for (const Choice& choice : session.config().evaluate) {
    entries_.push_back({&choice, integer_option(choice, "every_steps", 0)});
    const auto evaluation = make(choice, session);
    for (const auto& [name, value] : evaluation->record()) records += name + " " + value + ", ";
    for (const ScoreInfo& score : evaluation->declared_scores()) declared_.push_back(score);
  }
  check_start(session.communicator(), {{"files of evaluations", records,
                                        "all ranks must see the same files, or copies of them"}});
}

std::unique_ptr<Evaluation> EvaluationPlan::make(const Choice& choice,
                                                 const Session& session) const {
  const EvaluationData data(session.validation_data(),
                            [&session]() -> const Dataset& { return session.train_data(); });
  return session.task().evaluation(choice, data, evaluation_context(session.config()));
}

bool EvaluationPlan::smaller_is_better(const std::string& score) const {
  return std::any_of(declared_.begin(), declared_.end(), [&](const ScoreInfo& info) {
    return info.name == score && info.smaller_is_better;
  });
}

std::vector<ScheduledEvaluation> EvaluationPlan::due(int64_t step, bool stopping) const {
  std::vector<ScheduledEvaluation> out;
  for (const ScheduledEvaluation& entry : entries_) {
    const bool at_interval = entry.every_steps > 0 && step % entry.every_steps == 0;
    if (step == steps_ || (at_interval && !stopping)) out.push_back(entry);
  }
  return out;
}

EvaluationOutcome EvaluationPlan::run(const ScheduledEvaluation& entry, Session& session,
                                      const EvaluationNews& news) const {
  const auto evaluation = make(*entry.options, session);
  EvaluationResult result =
      evaluate_on_ranks(*evaluation, session.evaluation_replicas(),
                        session.config().precision.compute, session.communicator(), news);
  if (session.is_first() && !result.given_up) {
    const RunFolder& folder = session.place().folder;
    const fs::path final_path = picture_path(folder, session.state().step, entry.options->kind);
    const fs::path hidden = folder.samples() / ".drawing.png";
    folder.make_folder(folder.samples());
    try {
      if (evaluation->draw(result.chunks, hidden.string())) fs::rename(hidden, final_path);
    } catch (const EnvironmentError& error) {
      log_warning(fmt::format("the picture {} was not drawn: {}", final_path.string(),
                              error.message()));  // a full disk does not end the training
    }
  }
  return {result.given_up, std::move(result.scores), evaluation->record(),
          evaluation->declared_scores()};
}

int64_t integer_option(const Choice& choice, const std::string& name, int64_t otherwise) {
  IntegerFinder finder(name, otherwise);
  choice.options->visit(finder);
  return finder.value();
}

}  // namespace lockstep
