// `evaluate`: the scores of a checkpoint, by the evaluations of its config or of overrides.
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "ddp/single.h"
#include "train/evaluate.h"
#include "train/trained_model.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {

namespace {

// The first picture gets the name itself, further ones NAME-KIND.png.
void draw(const Evaluation& evaluation, const EvaluationResult& result, const fs::path& name, const std::string& kind,
          bool& drawn) {
  const fs::path hidden = name.parent_path() / ("." + name.filename().string());
  if (!evaluation.draw(result.chunks, hidden.string())) return;
  fs::rename(hidden, drawn ? name.parent_path() / (name.stem().string() + "-" + kind + ".png") : name);
  drawn = true;
}

}  // namespace

int evaluate_command(const Words& words) {
  const Arguments arguments(words, {{"--weights", true}, {"--json"}, {"--output", true}, {"--threads", true}});
  const std::string path = arguments.one_positional("run folder or config");
  const TrainedModel trained =
      load_trained_model(path, arguments.value("--weights").value_or(""), arguments.overrides(), arguments.threads());
  const RunConfig& config = *trained.loaded.config;
  if (config.evaluate.empty())
    throw ConfigError("the config's evaluate list is empty", "name evaluations: 'evaluate=[{kind: solve}]'");
  std::unique_ptr<Dataset> validation;
  if (!config.data.validation.empty()) validation = open_data(*trained.loaded.kinds, config, config.data.validation);

  const auto alone = make_single_communicator();
  std::vector<Model*> replicas;
  for (const auto& replica : trained.replicas) replicas.push_back(replica.get());
  bool drawn = false;
  nlohmann::ordered_json all = {{"step", trained.step}, {"weights", trained.source}};
  for (const Choice& choice : config.evaluate) {
    const auto evaluation =
        trained.task->evaluation(choice, validation.get(), {static_cast<uint64_t>(config.run.seed), 0});
    const EvaluationResult result = evaluate_on_ranks(*evaluation, replicas, config.precision.compute, *alone);
    std::string line = fmt::format("{}:", choice.kind);
    for (const auto& [name, value] : result.scores) {
      line += fmt::format("  {} {:.4f}", name, value);
      all[name] = value;
    }
    std::fprintf(stderr, "%s\n", line.c_str());
    if (const auto picture = arguments.value("--output")) draw(*evaluation, result, *picture, choice.kind, drawn);
  }
  if (arguments.has("--json")) {
    std::puts(all.dump().c_str());
  } else {
    for (const auto& [name, value] : all.items())
      std::printf("%-32s %s\n", name.c_str(), value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
  }
  return 0;
}

}  // namespace lockstep
