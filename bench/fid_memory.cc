// Memory of FID's statistics against the number of pictures (S7): features come in chunks of 64, as
// from Inception.
//
//   build/bin/fid_memory_bench --images 10000 [--features 2048]
//
// The features are Philox numbers instead of a network's; everything behind them is what `lockstep
// fid` runs: moments of a chunk, the tree over chunks, the features that KID keeps (10,000 at
// most), mean and covariance. Prints one line of JSON: the process's highest resident memory above
// that before the first chunk, its seconds, and a trace of the covariance.
// bench/peers/fid_memory.py has the peer.
#include <cstdio>
#include <fstream>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bench/clocks.h"
#include "bench/flags.h"
#include "core/freed_memory.h"
#include "core/philox.h"
#include "ddp/single.h"
#include "models/unet/unet.h"
#include "tasks/images/stored_features.h"
#include "tensor/random.h"
#include "train/evaluate/evaluate.h"

using namespace lockstep;

namespace {

// A number in kB of /proc/self/status.
int64_t status_kilobytes(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1));
  return 0;
}

class RandomFeatures : public Evaluation {
 public:
  RandomFeatures(int64_t images, int64_t features)
      : images_(images), features_(features), pool_(kid_pool(images)) {}
  std::vector<ScoreInfo> declared_scores() const override { return {}; }
  int64_t num_chunks() const override { return (images_ + kFeatureChunk - 1) / kFeatureChunk; }
  EvaluationChunk chunk(Model&, int64_t index) const override {
    const int64_t first = index * kFeatureChunk, count = std::min(kFeatureChunk, images_ - first);
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < count; ++i) ids.push_back(first + i);
    return feature_chunk(random_normal(Stream(1, Purpose::kTest), ids, 0, {features_}), first,
                         pool_);
  }
  Scores scores(const std::vector<double>&) const override { return {}; }

 private:
  int64_t images_, features_;
  std::vector<int64_t> pool_;
};

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  at::set_num_threads(1);
  try {
    const BenchFlags flags(argc, argv);
    RandomFeatures evaluation(flags.number("images", 1000), flags.number("features", 2048));
    UnetOptions tiny;
    tiny.dim = 4;
    tiny.dim_mults = {1};
    const auto model = make_unet(tiny, 1);  // an evaluation gets one; this one does not look at it
    const auto alone = make_single_communicator();
    const int64_t before = status_kilobytes("VmRSS");
    const double begin = cpu_seconds();
    const EvaluationResult result =
        evaluate_on_ranks(evaluation, {model.get()}, Compute::kFp32, *alone);
    const FeatureStatistics statistics = statistics_from(
        "random features", result.sums, result.chunks, flags.number("features", 2048));
    std::printf(
        "{\"images\": %ld, \"peak_megabytes\": %.1f, \"cpu_seconds\": %.2f, \"trace\": %.9g}\n",
        static_cast<long>(flags.number("images", 1000)),
        static_cast<double>(status_kilobytes("VmHWM") - before) / 1024, cpu_seconds() - begin,
        statistics.gaussian.covariance.trace().item<double>());
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.message().c_str());
    return static_cast<int>(error.code());
  }
}
