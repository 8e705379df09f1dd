// `fid A B`: FID and KID between two of: image folder, dataset of pictures, saved statistics or
// features.
//
// Under mpirun every rank takes part; rank 0 prints. The number does not depend on ranks or
// threads.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "data/parallel_for.h"
#include "ddp/communicators.h"
#include "ddp/slot_threads.h"
#include "tasks/images/stored_features.h"
#include "tensor/cuda_plugin.h"
#include "train/evaluate/evaluate.h"
#include "train/evaluate/evaluation_progress.h"
#include "train/evaluate/in_touch.h"
#include "train/open_device.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {
namespace {

struct FidRequest {
  std::string inception;   // "" = none given
  int64_t dimensions = 0;  // 0 = 2048 for pictures, anything for statistics
  std::string resize = "pytorch";
  int64_t threads = 1;
  bool tf32 = false;
  bool skip_unread = false;  // pictures of other formats and dead links are left out
};

// Where a score was made, and in which time.
struct FidMade {
  std::string device;
  bool with_times = false;  // --times
  double feature_seconds = 0, score_seconds = 0;
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

bool is_statistics(const std::string& path) { return fs::path(path).extension() == ".safetensors"; }

// Loads the weights when the first pictures come.
class Scorer {
 public:
  Scorer(const FidRequest& request, Communicator& communicator, Device& device)
      : request_(request), communicator_(communicator), device_(device) {
    record_.dimensions = request.dimensions;
    record_.resize = request.resize;
    record_.tf32 = request.tf32 && !device.is_cpu();
    fid_resize_of(request.resize);
  }

  // Pictures need weights, and decide what statistics are compared with.
  void prepare(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      if (is_statistics(path) || inception_) continue;
      if (request_.inception.empty())
        throw ConfigError("pictures need Inception's weights",
                          "give --inception W.safetensors (scripts/convert inception makes it), or "
                          "statistics (.safetensors)",
                          {path});
      inception_ = std::make_shared<Inception>(
          request_.inception, request_.dimensions == 0 ? 2048 : request_.dimensions);
      if (!device_.is_cpu()) inception_->place(device_.where(), record_.tf32);
      record_.dimensions = inception_->dimensions();
      record_.inception = inception_->weights_hash();
    }
  }

  // Collective. On ranks other than 0 the statistics are empty.
  FeatureStatistics statistics(const std::string& path) {
    if (is_statistics(path))
      return communicator_.rank() == 0 ? load_statistics(path, record_) : FeatureStatistics{};
    std::shared_ptr<const ImageSource> source = open_image_source(path, request_.skip_unread);
    if (source->size() < 2)
      throw DataError(
          fmt::format("there {} {} picture{}", source->size() == 1 ? "is" : "are", source->size(),
                      source->size() == 1 ? "" : "s"),
          "FID needs the spread of at least 2 pictures, and means little below some thousands",
          {path});
    StoredFeatures evaluation(source, inception_, fid_resize_of(request_.resize), source->size(),
                              record_.tf32);
    const std::vector<Model*> replicas(static_cast<size_t>(request_.threads), inception_.get());
    EvaluationProgress progress("features of " + path, communicator_.rank() == 0);
    const EvaluationResult result =
        evaluate_on_ranks(evaluation, replicas, Compute::kFp32, communicator_, progress.news());
    progress.remove();
    if (communicator_.rank() != 0) return {};
    return statistics_from(path, result.sums, result.chunks, inception_->dimensions());
  }

  const FeatureRecord& record() const { return record_; }

 private:
  FidRequest request_;
  Communicator& communicator_;
  Device& device_;
  std::shared_ptr<Inception> inception_;
  FeatureRecord record_;
};

nlohmann::ordered_json or_null(std::optional<int64_t> value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

void print(const FeatureStatistics& a, const FeatureStatistics& b, const FidScore& score,
           const FeatureRecord& record, const FidMade& made_by, bool as_json) {
  const std::string kid =
      score.kid ? fmt::format("{:.6g} ± {:.2g}", score.kid->mean, score.kid->deviation)
                : "not known (needs pictures or features)";
  const auto number = [](std::optional<int64_t> n) {
    return n ? std::to_string(*n) : std::string("?");
  };
  const int64_t features = a.gaussian.mean.size(0);
  const std::string made =
      record.inception.empty()
          ? ""
          : fmt::format(", Inception {}, resize {}, on {}{}", record.inception, record.resize,
                        made_by.device, record.tf32 ? " with TF32" : "");
  std::fprintf(as_json ? stderr : stdout,
               "FID  %.6f\nKID  %s\n%s against %s samples, %lld features%s\n", score.fid,
               kid.c_str(), number(a.count()).c_str(), number(b.count()).c_str(),
               static_cast<long long>(features), made.c_str());
  if (!as_json) return;
  nlohmann::ordered_json json;
  json["fid"] = score.fid;
  json["kid"] = score.kid ? nlohmann::ordered_json(score.kid->mean) : nlohmann::ordered_json();
  json["n_a"] = or_null(a.count());
  json["n_b"] = or_null(b.count());
  json["device"] = record.inception.empty()
                       ? nlohmann::ordered_json()
                       : nlohmann::ordered_json(made_by.device);  // of the features made now
  if (record.tf32) json["tf32"] = true;
  if (made_by.with_times) {
    json["feature_seconds"] = made_by.feature_seconds;
    json["score_seconds"] = made_by.score_seconds;
  }
  std::puts(json.dump().c_str());
}

// --device: where Inception computes. A GPU for a rank of this machine each.
std::unique_ptr<Device> device_of(const Arguments& arguments) {
  const std::string word = arguments.value("--device").value_or("auto");
  if (word != "auto" && word != "cpu" && word != "cuda")
    throw ConfigError("--device takes auto, cpu or cuda, not '" + word + "'", "",
                      {"command line", 1, 1, "--device " + word});
  return device_of_process(word != "cpu" && cuda_plugin_is_open() ? DeviceKind::kCuda
                                                                  : DeviceKind::kCpu);
}

int64_t default_threads(Communicator& communicator, const Device& device) {
  if (!device.is_cpu()) return 1;
  return communicator.size() > 1 ? 1 : num_threads(0);
}

}  // namespace

int fid_command(const Words& words) {
  const Arguments arguments(words, {{"--inception", true},
                                    {"--features", true},
                                    {"--resize", true},
                                    {"--threads", true},
                                    {"--save", true},
                                    {"--device", true},
                                    {"--tf32"},
                                    {"--skip-unread"},
                                    {"--times"},
                                    {"--json"}});
  arguments.no_overrides();
  const std::vector<std::string>& paths = arguments.positionals();
  const auto save = arguments.value("--save");
  if (paths.size() != (save ? 1u : 2u))
    throw ConfigError(fmt::format("fid takes {}, got {}",
                                  save ? "one side with --save" : "two sides", paths.size()),
                      "lockstep fid A B [--inception W.safetensors], or lockstep fid A --save "
                      "STATISTICS.safetensors");
  CommunicatorSetup setup;
  const auto communicator = make_communicator(
      choose_backend("auto", [](const char* name) { return std::getenv(name); }), setup);
  set_up_compute_thread();
  const std::unique_ptr<Device> device = device_of(arguments);
  FidRequest request;
  request.inception = arguments.value("--inception").value_or("");
  request.dimensions = arguments.integer("--features").value_or(0);
  if (arguments.has("--features")) Inception::layers(request.dimensions);
  request.resize = arguments.value("--resize").value_or("pytorch");
  request.threads =
      arguments.integer("--threads").value_or(default_threads(*communicator, *device));
  if (request.threads < 1 || request.threads > 1024) throw ConfigError("--threads takes 1 to 1024");
  if (!device->is_cpu())
    request.threads =
        1;  // a GPU's cores work on one batch at a time; pictures are read on all of the host's
  request.tf32 = arguments.has("--tf32");
  request.skip_unread = arguments.has("--skip-unread");

  Scorer scorer(request, *communicator, *device);
  scorer.prepare(paths);
  FidMade made{device->describe(), arguments.has("--times"), 0, 0};
  const auto begin = std::chrono::steady_clock::now();
  const FeatureStatistics a = scorer.statistics(paths[0]);
  if (save) {
    if (communicator->rank() == 0) save_statistics(*save, a, scorer.record());
  } else {
    const FeatureStatistics b = scorer.statistics(paths[1]);
    made.feature_seconds = seconds_since(begin);
    keep_in_touch(*communicator, {}, [&](const std::atomic<bool>&) {
      if (communicator->rank() != 0) return;
      for (const FeatureStatistics* side : {&a, &b})
        if (const auto note = few_pictures(side->name, side->count(), side->gaussian.mean.size(0)))
          log_warning(*note);
      const FidScore score = fid_score(a, b, device->where());
      made.score_seconds = seconds_since(begin) - made.feature_seconds;
      print(a, b, score, scorer.record(), made, arguments.has("--json"));
    });
  }
  communicator->close();
  return 0;
}

}  // namespace lockstep
