// `evaluate`: the scores of a checkpoint, by the evaluations of its config or of overrides.
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "ddp/communicators.h"
#include "ddp/slot_threads.h"
#include "train/evaluate/evaluate.h"
#include "train/evaluate/evaluation_progress.h"
#include "train/trained_model.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {

namespace {

// The first picture gets the name itself, further ones NAME-KIND.png.
void draw(const Evaluation& evaluation, const EvaluationResult& result, const fs::path& name,
          const std::string& kind, bool& drawn) {
  const fs::path hidden = name.parent_path() / ("." + name.filename().string());
  if (!evaluation.draw(result.chunks, hidden.string())) return;
  fs::rename(hidden,
             drawn ? name.parent_path() / (name.stem().string() + "-" + kind + ".png") : name);
  drawn = true;
}

// Validation and training data of a config; opened when an evaluation wants them.
class Data {
 public:
  Data(const Kinds& kinds, const RunConfig& config) : kinds_(kinds), config_(config) {
    if (!config.data.validation.empty())
      validation_ = open_data(kinds, config, config.data.validation);
  }
  EvaluationData get() {
    return {validation_.get(), [this]() -> const Dataset& {
              if (!train_) train_ = open_data(kinds_, config_, config_.data.train);
              return *train_;
            }};
  }

 private:
  const Kinds& kinds_;
  const RunConfig& config_;
  std::unique_ptr<Dataset> validation_, train_;
};

void print(const nlohmann::ordered_json& all, bool as_json) {
  if (as_json) {
    std::puts(all.dump().c_str());
    return;
  }
  for (const auto& [name, value] : all.items())
    std::printf("%-32s %s\n", name.c_str(),
                value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
}

}  // namespace

int evaluate_command(const Words& words) {
  const Arguments arguments(
      words, {{"--weights", true}, {"--json"}, {"--output", true}, {"--threads", true}});
  const std::string path = arguments.one_positional("run folder or config");
  const auto ranks = make_communicator(
      choose_backend("auto", [](const char* name) { return std::getenv(name); }), {});
  const bool is_first = ranks->rank() == 0;
  set_up_compute_thread();
  const int64_t threads =
      ranks->size() > 1 && !arguments.has("--threads") ? 1 : arguments.threads();
  const TrainedModel trained = load_trained_model(path, arguments.value("--weights").value_or(""),
                                                  arguments.overrides(), threads);
  const RunConfig& config = *trained.loaded.config;
  if (config.evaluate.empty())
    throw ConfigError("the config's evaluate list is empty",
                      "name evaluations: 'evaluate=[{kind: solve}]'");
  Data data(*trained.loaded.kinds, config);

  std::vector<Model*> replicas;
  for (const auto& replica : trained.replicas) replicas.push_back(replica.get());
  bool drawn = false;
  nlohmann::ordered_json all = {{"step", trained.step}, {"weights", trained.source}};
  for (const Choice& choice : config.evaluate) {
    const auto evaluation =
        trained.task->evaluation(choice, data.get(), {static_cast<uint64_t>(config.run.seed), 0});
    EvaluationProgress progress(choice.kind, is_first);
    const EvaluationResult result =
        evaluate_on_ranks(*evaluation, replicas, config.precision.compute, *ranks, progress.news());
    progress.remove();
    if (!is_first) continue;
    for (const std::string& note : evaluation->notes()) log_warning(note);
    std::string line = fmt::format("{}:", choice.kind);
    for (const auto& [name, value] : result.scores) {
      line += fmt::format("  {} {:.4f}", name, value);
      all[name] = value;
    }
    std::fprintf(stderr, "%s\n", line.c_str());
    if (const auto picture = arguments.value("--output"))
      draw(*evaluation, result, *picture, choice.kind, drawn);
  }
  if (is_first) print(all, arguments.has("--json"));
  ranks->close();
  return 0;
}

}  // namespace lockstep
