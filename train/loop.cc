// The loop decides when things happen, never how: after each step it asks whether to write metrics,
// evaluate, save or stop. All ranks must decide alike, so each decision follows from the plan, from
// a step's agreed result, or from what rank 0 broadcasts.
#include "train/loop.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <fmt/format.h>

#include "core/files.h"
#include "core/heartbeat.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/stop_flag.h"
#include "core/terminal.h"
#include "train/evaluate/evaluation_plan.h"
#include "train/evaluate/evaluation_progress.h"
#include "train/metrics.h"
#include "train/profile.h"
#include "train/run_lines.h"
#include "train/step/step_executor.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

std::unique_ptr<RunLines> lines_of(const Session& session) {
  const RunPlan& plan = session.plan();
  const RunConfig& config = session.config();
  RunLinesSetup setup;
  setup.style = config.log.style;
  setup.steps = plan.steps;
  setup.global_batch = plan.global_batch;
  setup.train_samples = plan.data.train_samples;
  setup.every_epochs = config.log.every_epochs;
  setup.epochs = config.train.epochs;
  setup.mixed_precision = config.precision.compute != Compute::kFp32;
  return make_run_lines(setup);
}

// What rank 0 writes down; other ranks have none of it.
class Recorder {
 public:
  explicit Recorder(Session& session)
      : session_(session),
        lines_(lines_of(session)),
        progress_("train", session.plan().steps, "step", session.is_first() && lines_->has_bar(),
                  session.state().step) {
    if (!session.is_first()) return;
    show(lines_->start());
    const TrainState& state = session.state();
    metrics_.emplace(session.place().folder, session.place().attempt, state.step);
    metrics_->attempt(session.place().attempt, state.step, session.plan().ranks,
                      session.plan().slots);
    checkpoints_.emplace(session.place().folder, session.config().checkpoint, session.plan().ranks);
  }

  void step(StepResult result, double seconds) {
    if (!metrics_) return;
    progress_.update(result.step, fmt::format("loss {:.4f}", result.loss));
    show(lines_->step(result));
    show_saved_checkpoint();
    if (!due(result.step, session_.config().log.every_steps) && result.step != 1 &&
        result.step != session_.plan().steps && !result.stop)
      return;
    result.step_seconds = seconds;
    if (result.memory_bytes == 0) result.memory_bytes = resident_bytes();
    metrics_->step(result);
  }

  void evaluation(const EvaluationOutcome& outcome, double seconds) {
    if (!metrics_) return;
    std::vector<std::string> smaller;
    for (const ScoreInfo& score : outcome.declared)
      if (score.smaller_is_better) smaller.push_back(score.name);
    metrics_->evaluation(session_.state().step, outcome.scores, seconds, outcome.record, smaller);
    show(lines_->evaluation(session_.state().step, outcome.scores));
  }

  // A bar of its own for an evaluation, or a line now and then where there is no terminal.
  EvaluationProgress evaluation_progress(const std::string& kind) const {
    return EvaluationProgress(kind, metrics_ && lines_->has_bar());
  }

  void profile(const std::string& table) {
    if (metrics_) print_line("profile of " + table);
  }

  // Collective.
  void checkpoint() {
    CheckpointContent content = session_.snapshot();
    if (!checkpoints_) return;
    checkpoints_->save(std::move(content));
    show_saved_checkpoint();  // the one before: its turn is over
    saving_ = session_.place().folder.checkpoint(session_.state().step);
    show_saved_checkpoint();
  }

  // Waits until the last checkpoint is on disk; throws if it could not be written.
  void finish() {
    if (checkpoints_) checkpoints_->wait();
    show_saved_checkpoint();
    progress_.finish();
  }

 private:
  void show(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) print_line(line);
  }

  // What has its final name is complete: it is written while training goes on.
  void show_saved_checkpoint() {
    if (saving_.empty() || !fs::exists(saving_)) return;
    show(lines_->checkpoint(saving_.string()));
    saving_.clear();
  }

  Session& session_;
  std::unique_ptr<RunLines> lines_;
  Progress progress_;
  std::optional<MetricsFile> metrics_;
  std::optional<CheckpointWriter> checkpoints_;
  fs::path saving_;  // of the checkpoint whose line is still to be shown
};

// Notes a new best of checkpoint.keep_best; true if this step's checkpoint is to be kept.
bool is_new_best(const EvaluationPlan& evaluations, Session& session, const Scores& scores) {
  const auto found = scores.find(session.config().checkpoint.keep_best);
  if (found == scores.end()) return false;
  std::optional<double>& best = session.state().best_score;
  const bool smaller = evaluations.smaller_is_better(found->first);
  if (best && !(smaller ? found->second < *best : found->second > *best)) return false;
  best = found->second;
  session.state().best_step = session.state().step;
  return true;
}

// Collective. Only rank 0 knows scores: what it found, on all ranks.
bool of_first_rank(Session& session, bool value) {
  session.communicator().broadcast(&value, sizeof value, 0, "new best score");
  return value;
}

struct Evaluated {
  bool new_best = false;  // one of them found a new best
  bool stopped = false;   // somebody asked to stop: the rest is owed
};

// Collective. Runs these evaluations after a step; all ranks get the same answer.
Evaluated evaluate(const EvaluationPlan& evaluations,
                   const std::vector<ScheduledEvaluation>& entries, Session& session,
                   Recorder& recorder, HeartbeatPage& page) {
  Evaluated done;
  for (const ScheduledEvaluation& entry : entries) {
    EvaluationProgress progress = recorder.evaluation_progress(entry.options->kind);
    EvaluationNews news = progress.news();
    news.alive = [&] { page.write(session.state().step, Phase::kEvaluate); };
    news.stop = stop_requested;
    news.alive();
    const auto start = Clock::now();
    const EvaluationOutcome outcome = evaluations.run(entry, session, news);
    progress.remove();
    done.stopped = outcome.given_up;
    if (done.stopped) break;
    recorder.evaluation(outcome, seconds_since(start));
    done.new_best |= is_new_best(evaluations, session, outcome.scores);
  }
  if (!entries.empty()) done.new_best = of_first_rank(session, done.new_best);
  return done;
}

// A stop saves at once, without the evaluations of its step. The resumed run owes them: else its
// best score, which is part of the state, would depend on when somebody stopped it. Its new_best:
// the state to be saved for this step has a new best. Collective.
Evaluated catch_up(const EvaluationPlan& evaluations, Session& session, Recorder& recorder,
                   HeartbeatPage& page) {
  const int64_t step = session.state().step;
  if (step == 0) return {};
  // Scores that are written down already, but maybe not in the checkpoint: the disk may have been
  // full.
  const std::vector<Scores> written = session.is_first()
                                          ? evaluations_written(session.place().folder, step)
                                          : std::vector<Scores>{};
  bool new_best = false;
  for (const Scores& scores : written) new_best |= is_new_best(evaluations, session, scores);
  auto count = static_cast<int64_t>(written.size());
  session.communicator().broadcast(&count, sizeof count, 0, "evaluations written so far");
  std::vector<ScheduledEvaluation> owed = evaluations.due(step, /*stopping=*/false);
  owed.erase(owed.begin(),
             owed.begin() + std::min<int64_t>(count, static_cast<int64_t>(owed.size())));
  new_best = of_first_rank(session, new_best);
  Evaluated done = evaluate(evaluations, owed, session, recorder, page);
  done.new_best |= new_best;
  return done;
}

std::filesystem::path profile_prefix(Session& session) {
  return session.place().folder.attempt(session.place().attempt) /
         fmt::format("profile-rank-{}", session.communicator().rank());
}

}  // namespace

Outcome train(Session& session) {
  const RunPlan& plan = session.plan();
  const RunConfig& config = session.config();
  TrainState& state = session.state();
  HeartbeatPage page(
      session.place().folder.rank_page(session.place().attempt, session.communicator().rank()),
      true);
  const EvaluationPlan evaluations(session);
  const std::unique_ptr<StepExecutor> executor = make_executor(session);
  Recorder recorder(session);
  StepProfiler profiler(parse_profile_steps(config.log.profile_steps, state.step),
                        profile_prefix(session));

  const Evaluated before = catch_up(evaluations, session, recorder, page);
  if (before.new_best) recorder.checkpoint();
  bool stop = before.stopped, owing = before.stopped;
  double waiting = 0;  // seconds of steps whose results are on their way
  while (state.step < plan.steps && !stop) {
    page.write(state.step, Phase::kCompute);
    auto start = Clock::now();
    profiler.before_step(state.step);
    const auto record = [&](const std::vector<StepResult>& results) {
      waiting += seconds_since(start);
      for (const StepResult& result : results) {
        recorder.step(result, waiting / static_cast<double>(results.size()));
        stop |= result.stop;
      }
      if (!results.empty()) waiting = 0;
      start = Clock::now();
    };
    record(executor->run());
    const bool save = due(state.step, config.checkpoint.every_steps);
    const bool evaluates = !evaluations.due(state.step, stop).empty();
    if (stop || save || evaluates || state.step == plan.steps) record(executor->finish());
    const bool last = stop || state.step == plan.steps;
    if (const auto table = profiler.after_step(state.step - 1, last)) recorder.profile(*table);

    const Evaluated now =
        evaluate(evaluations, evaluations.due(state.step, stop), session, recorder, page);
    owing = now.stopped;
    stop |= now.stopped;
    if (save || now.new_best || stop || last) {
      page.write(state.step, Phase::kCheckpoint);
      recorder.checkpoint();
    }
  }
  recorder.finish();
  page.write(state.step, Phase::kDone);
  session.communicator().barrier("end of the run");
  return stop && (owing || state.step < plan.steps) ? Outcome::kStopped : Outcome::kDone;
}

}  // namespace lockstep
