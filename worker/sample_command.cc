// `sample`: draws from a trained model, or completes what the user gives.
#include <cstdio>

#include "core/errors.h"
#include "core/files.h"
#include "data/shards/dataset_index.h"
#include "train/model_threads.h"
#include "train/trained_model.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {
namespace {

constexpr const char* kCommon[] = {"--output",  "--count",   "--weights", "--seed",
                                   "--threads", "--sampler", "--steps"};

std::vector<Flag> sample_flags() {
  std::vector<Flag> flags;
  for (const char* name : kCommon) flags.push_back({name, true});
  for (const SampleFlag& flag : all_sample_flags()) flags.push_back({flag.name, flag.has_value});
  return flags;
}

// `--sampler KIND --steps K` stand for a new `sampler` section and its key; further overrides
// follow.
std::vector<std::string> sample_overrides(const Arguments& arguments) {
  std::vector<std::string> out;
  if (const auto kind = arguments.value("--sampler"))
    out.push_back("sampler={kind: " + *kind + "}");
  if (const auto steps = arguments.integer("--steps"))
    out.push_back("sampler.steps=" + std::to_string(*steps));
  const std::vector<std::string>& given = arguments.overrides();
  out.insert(out.end(), given.begin(), given.end());
  return out;
}

// The task's own flags among `arguments`; a flag of another task is a ConfigError.
std::map<std::string, std::string> task_flags(const Arguments& arguments,
                                              const TrainedModel& trained) {
  std::map<std::string, std::string> out;
  for (const SampleFlag& flag : trained.task->sample_flags())
    if (arguments.has(flag.name)) out[flag.name] = *arguments.value(flag.name);
  for (const SampleFlag& flag : all_sample_flags())
    if (arguments.has(flag.name) && !out.contains(flag.name))
      throw ConfigError(
          "the task " + trained.loaded.config->task.kind + " knows no flag " + flag.name,
          "see lockstep sample --help", {"command line", 1, 1, flag.name});
  return out;
}

// `recipe` of the dataset that data.train names; "" if it is not there any more.
std::string recipe_of(const RunConfig& config) {
  for (const std::string& pattern : config.data.train) {
    std::error_code code;
    const fs::path folder =
        fs::is_directory(pattern, code) ? fs::path(pattern) : fs::path(pattern).parent_path();
    if (fs::exists(index_path(folder), code)) return read_index(folder).recipe;
  }
  return "";
}

}  // namespace

int sample_command(const Words& words) {
  const Arguments arguments(words, sample_flags());
  const std::string path = arguments.one_positional("run folder or config");
  const TrainedModel trained = load_trained_model(path, arguments.value("--weights").value_or(""),
                                                  sample_overrides(arguments), arguments.threads());
  const RunConfig& config = *trained.loaded.config;
  std::vector<Model*> replicas;
  for (const auto& replica : trained.replicas) replicas.push_back(replica.get());

  SampleRequest request;
  request.output = arguments.value("--output").value_or("");
  request.count = arguments.integer("--count").value_or(request.count);
  request.seed = static_cast<uint64_t>(arguments.integer("--seed").value_or(config.run.seed));
  request.sampler = config.sampler;
  request.recipe = [&config] { return recipe_of(config); };
  request.flags = task_flags(arguments, trained);
  request.result = [](const std::string& line) { std::puts(line.c_str()); };
  request.for_each = [&](int64_t n, const SampleRequest::Work& work) {
    for_each_on_models(replicas, config.precision.compute, n, work);
  };
  trained.task->sample(*replicas.front(), request);
  return 0;
}

}  // namespace lockstep
