#include "worker/bench/bench_fid.h"

#include "core/errors.h"
#include "core/stop_flag.h"
#include "ddp/single.h"
#include "kernels/attention_backend.h"
#include "train/evaluate/evaluate.h"

namespace lockstep {
namespace {

FidOptions options_of(const Arguments& arguments, const RunConfig& config) {
  FidOptions options;
  options.inception = *arguments.value("--inception");
  options.features = arguments.integer("--features").value_or(options.features);
  options.images = arguments.integer("--fid-images").value_or(1000);
  if (options.images < 2)
    throw ConfigError("--fid-images takes at least 2", "", {"command line", 1, 1, "--fid-images"});
  options.reference = arguments.value("--fid-reference").value_or("train");
  if (options.reference == "train" && config.data.train.empty())
    throw ConfigError("FID needs pictures to compare with, and the config names no data.train",
                      "give --fid-reference: a folder of pictures or a pattern of shards");
  return options;
}

}  // namespace

const std::vector<Flag>& bench_fid_flags() {
  static const std::vector<Flag> flags = {{"--inception", true},
                                          {"--features", true},
                                          {"--fid-images", true},
                                          {"--fid-reference", true}};
  return flags;
}

SamplerBench::Score bench_fid(const Arguments& arguments, const TrainedModel& trained,
                              std::shared_ptr<const ImageDiffusion> images,
                              std::vector<Model*> replicas) {
  if (!arguments.has("--inception")) {
    for (const Flag& flag : bench_fid_flags())
      if (arguments.has(flag.name))
        throw ConfigError(flag.name + " needs --inception", "", {"command line", 1, 1, flag.name});
    return {};
  }
  const FidOptions options = options_of(arguments, *trained.loaded.config);
  const TrainedModel* model = &trained;
  auto datasets = std::make_shared<std::map<std::string, std::unique_ptr<Dataset>>>();
  const auto open = [model, datasets](const std::string& name,
                                      const std::vector<std::string>& patterns) -> const Dataset& {
    std::unique_ptr<Dataset>& dataset = (*datasets)[name];
    if (!dataset) dataset = open_data(*model->loaded.kinds, *model->loaded.config, patterns);
    return *dataset;
  };
  return [=](const SamplerCase& one) -> std::optional<double> {
    const RunConfig& config = *model->loaded.config;
    FidOptions row = options;
    row.sampler = one.sampler;
    const Dataset* validation = options.reference == "validation" && !config.data.validation.empty()
                                    ? &open("validation", config.data.validation)
                                    : nullptr;
    const EvaluationData data(validation,
                              [&]() -> const Dataset& { return open("train", config.data.train); });
    const auto evaluation =
        make_image_fid(row, {images, data, {static_cast<uint64_t>(config.run.seed), 0}});
    const AttentionGuard attention(one.row.attention);
    const auto alone = make_single_communicator();
    EvaluationNews news;
    news.stop = stop_requested;
    const EvaluationResult result = evaluate_on_ranks(
        *evaluation, replicas, value_of<Compute>(one.row.precision), *alone, news);
    if (result.given_up) return std::nullopt;
    return result.scores.at("fid");
  };
}

}  // namespace lockstep
