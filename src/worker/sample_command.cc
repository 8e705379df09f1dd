// `sample`: draws from a trained model, or completes what the user gives.
#include <cstdio>

#include "core/errors.h"
#include "train/trained_model.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {

int sample_command(const Words& words) {
  const Arguments arguments(words, {{"--puzzle", true}, {"--output", true}, {"--count", true}, {"--weights", true},
                                    {"--seed", true}, {"--board"}});
  const std::string model_path = arguments.one_positional("run folder or config");
  SampleRequest request;
  request.puzzle = arguments.value("--puzzle").value_or("");
  if (arguments.has("--puzzle") && request.puzzle.empty()) throw DataError("--puzzle is empty", "give 81 characters, or a file");
  request.picture = arguments.value("--output").value_or("");
  request.count = arguments.integer("--count").value_or(request.count);
  request.board = arguments.has("--board");
  if (!request.picture.empty() && !request.picture.ends_with(".png"))
    throw ConfigError("--output must end in .png", "", {"command line", 1, 1, "--output " + request.picture});
  const TrainedModel trained = load_trained_model(model_path, arguments.value("--weights").value_or(""), arguments.overrides());
  request.seed = static_cast<uint64_t>(arguments.integer("--seed").value_or(trained.loaded.config->run.seed));
  request.result = [](const std::string& line) { std::puts(line.c_str()); };
  trained.task->sample(*trained.replicas.front(), request);
  return 0;
}

}  // namespace lockstep
