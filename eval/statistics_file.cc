// Feature statistics in safetensors files (docs/formats.md, "Statistics of features").
#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "eval/feature_statistics.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

constexpr int64_t kMaxFeatures = 16384;  // a covariance of 2 GiB

class StatisticsFile {
 public:
  explicit StatisticsFile(const fs::path& path) : file_(path), path_(path.string()) {}

  FeatureStatistics read() const {
    for (const TensorInfo& info : file_.tensors())
      if (info.name != "features" && info.name != "mu" && info.name != "sigma" && info.name != "n")
        fail("unknown tensor '" + info.name + "'");
    return file_.find("features") != nullptr ? from_features() : from_moments();
  }

  void compare(const FeatureRecord& expected, int64_t dimensions) const {
    if (expected.dimensions != 0 && dimensions != expected.dimensions)
      fail(fmt::format("the statistics have {} features, not {}", dimensions, expected.dimensions),
           "give --features of that number on both sides");
    const auto differs = [&](const char* key, const std::string& wanted) {
      const auto found = file_.metadata().find(key);
      return !wanted.empty() && found != file_.metadata().end() && found->second != wanted;
    };
    if (differs("inception", expected.inception))
      fail("the statistics were computed with other Inception weights",
           "compute both sides with the same --inception");
    if (!expected.inception.empty() && file_.metadata().contains("inception") &&
        file_.metadata().contains("tf32") != expected.tf32)
      fail(fmt::format("the statistics were computed with{} TF32", expected.tf32 ? "out" : ""),
           "compute both sides with --tf32, or both without");
    if (differs("resize", expected.resize))
      fail("the statistics were computed with resizing '" + file_.metadata().at("resize") +
               "', not '" + expected.resize + "'",
           "compute both sides with the same --resize");
  }

 private:
  [[noreturn]] void fail(const std::string& fact,
                         const std::string& help =
                             "a statistics file holds `features` [N, D], or `mu` [D] and `sigma` "
                             "[D, D] in float64, and maybe `n`") const {
    throw DataError(fact, help, {path_});
  }

  at::Tensor load(const std::string& name, bool single_too) const {
    const TensorInfo* info = file_.find(name);
    if (info == nullptr) fail("there is neither tensor 'features' nor '" + name + "'");
    if (info->dtype != at::kDouble && !(single_too && info->dtype == at::kFloat))
      fail(fmt::format("tensor '{}' is {}, not {}", name, c10::toString(info->dtype),
                       single_too ? "Float or Double" : "Double"));
    const at::Tensor value = file_.load(name);
    if (!at::isfinite(value).all().item<bool>())
      fail("tensor '" + name + "' has numbers that are not finite");
    return value;
  }

  FeatureStatistics from_features() const {
    if (file_.tensors().size() != 1) fail("there are both 'features' and other tensors");
    const at::Tensor features = load("features", true);
    if (features.dim() != 2 || features.size(1) < 1 || features.size(1) > kMaxFeatures)
      fail(fmt::format("tensor 'features' has shape {}, not [N, D]", c10::str(features.sizes())));
    Moments moments{0, at::zeros({features.size(1)}, at::kDouble),
                    at::zeros({features.size(1), features.size(1)}, at::kDouble)};
    for (int64_t first = 0; first < features.size(0); first += 4096)
      moments.merge(Moments::of(features.slice(0, first, first + 4096)));
    return statistics_of(path_, moments, features);
  }

  FeatureStatistics from_moments() const {
    const at::Tensor mu = load("mu", false), sigma = load("sigma", false);
    const int64_t d = mu.dim() == 1 ? mu.size(0) : 0;
    if (d < 1 || d > kMaxFeatures || sigma.sizes() != c10::IntArrayRef({d, d}))
      fail(fmt::format("'mu' has shape {} and 'sigma' {}, not [D] and [D, D]", c10::str(mu.sizes()),
                       c10::str(sigma.sizes())));
    const double scale = sigma.abs().max().item<double>();
    if ((sigma - sigma.t()).abs().max().item<double>() > 1e-6 * scale ||
        sigma.diagonal().lt(-1e-9 * scale).any().item<bool>())
      fail("'sigma' is no covariance: it is not symmetric, or its diagonal is negative");
    return {path_, {mu, (sigma + sigma.t()) / 2, read_count()}, {}};
  }

  std::optional<int64_t> read_count() const {
    if (file_.find("n") == nullptr) return std::nullopt;
    const at::Tensor n = file_.load("n");
    if (n.numel() != 1) fail(fmt::format("'n' has shape {}, not []", c10::str(n.sizes())));
    const double value = n.to(at::kDouble).item<double>();
    if (!(value >= 2 && value < 9e15) || value != static_cast<double>(static_cast<int64_t>(value)))
      fail("'n' is no number of pictures of at least 2");
    return static_cast<int64_t>(value);
  }

  SafetensorsFile file_;
  std::string path_;
};

}  // namespace

FeatureStatistics load_statistics(const fs::path& path, const FeatureRecord& expected) {
  const StatisticsFile file(path);
  FeatureStatistics statistics = file.read();
  file.compare(expected, statistics.gaussian.mean.size(0));
  return statistics;
}

void save_statistics(const fs::path& path, const FeatureStatistics& statistics,
                     const FeatureRecord& record) {
  NamedTensors tensors = {{"mu", statistics.gaussian.mean},
                          {"sigma", statistics.gaussian.covariance}};
  if (statistics.count())
    tensors.push_back({"n", at::scalar_tensor(*statistics.count(), at::kLong)});
  Metadata metadata = {{"format", "lockstep-statistics"},
                       {"features", std::to_string(record.dimensions)}};
  if (!record.resize.empty()) metadata["resize"] = record.resize;
  if (!record.inception.empty()) metadata["inception"] = record.inception;
  if (record.tf32) metadata["tf32"] = "true";
  write_atomic(path,
               [&](const fs::path& temporary) { save_safetensors(temporary, tensors, metadata); });
}

}  // namespace lockstep
