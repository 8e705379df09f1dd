#include "eval/feature_statistics.h"

#include <algorithm>

#include <unistd.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr int64_t kSide = 299;  // pixels Inception was made for
// Bounds memory: 23 MB a picture in the widest layers. The last few are filled up with zeros, since
// equal shapes give equal bits.
constexpr size_t kPicturesAtATime = 8;
constexpr size_t kPicturesOnADevice = 64;

// LibTorch's threads for the matrix work at the end. The number depends on the machine alone, not
// on how many ranks share it, so that the bits do not depend on them.
class MatrixThreads {
 public:
  MatrixThreads() : before_(at::get_num_threads()) {
    const long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
    at::set_num_threads(static_cast<int>(std::clamp(cores, 1l, 16l)));
  }
  ~MatrixThreads() { at::set_num_threads(before_); }

 private:
  int before_;
};

// Pictures with Inception's pixels, [b, 3, 299, 299] each. On a device those of one size are one
// tensor.
std::vector<at::Tensor> resized(at::TensorList images, at::Device device, FidResize resize) {
  std::vector<at::Tensor> out;
  const bool alike = std::all_of(images.begin(), images.end(), [&](const at::Tensor& image) {
    return image.sizes() == images[0].sizes();
  });
  if (!device.is_cpu() && alike)
    return {inception_input(at::stack(images).to(device, /*non_blocking=*/true), resize)};
  for (const at::Tensor& image : images)
    out.push_back(inception_input(image.unsqueeze(0).to(device, /*non_blocking=*/true), resize));
  return out;
}

}  // namespace

FidResize fid_resize_of(const std::string& name) {
  if (name == "pytorch") return FidResize::kPytorch;
  if (name == "clean") return FidResize::kClean;
  throw ConfigError("unknown resizing '" + name + "' for FID",
                    "it is pytorch (as pytorch-fid) or clean (as clean-fid)");
}

at::Tensor inception_input(const at::Tensor& images, FidResize resize) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  at::Tensor x = images.to(at::kFloat);
  if (resize == FidResize::kPytorch) {
    x = at::upsample_bilinear2d(x / 255.0, {kSide, kSide}, /*align_corners=*/false);
    return 2 * x - 1;
  }
  if (x.size(2) != kSide || x.size(3) != kSide)
    x = at::_upsample_bicubic2d_aa(x, {kSide, kSide}, /*align_corners=*/false).clamp(0, 255);
  return (x - 128) / 128;
}

at::Tensor inception_features(const Inception& inception, const std::vector<at::Tensor>& images,
                              FidResize resize) {
  const at::NoGradGuard no_grad;
  const at::Device device = inception.device();
  const size_t at_a_time = device.is_cpu() ? kPicturesAtATime : kPicturesOnADevice;
  std::vector<at::Tensor> features;
  for (size_t first = 0; first < images.size(); first += at_a_time) {
    const size_t count = std::min(at_a_time, images.size() - first);
    std::vector<at::Tensor> inputs =
        resized(at::TensorList(images).slice(first, count), device, resize);
    if (count < at_a_time) {
      std::vector<int64_t> missing = inputs.front().sizes().vec();
      missing[0] = static_cast<int64_t>(at_a_time - count);
      inputs.push_back(at::zeros(missing, inputs.front().options()));
    }
    features.push_back(
        inception.features(at::cat(inputs)).narrow(0, 0, static_cast<int64_t>(count)));
  }
  return features.empty() ? at::empty({0, inception.dimensions()}) : at::cat(features);
}

FeatureStatistics statistics_of(const std::string& name, const Moments& moments,
                                const at::Tensor& features) {
  if (moments.count < 2)
    throw DataError(
        fmt::format("{} has {} picture{}", name, moments.count, moments.count == 1 ? "" : "s"),
        "FID needs the spread of at least 2 pictures, and means little below some thousands");
  return {name, {moments.mean(), moments.covariance(), moments.count}, features};
}

std::optional<std::string> few_pictures(const std::string& side, std::optional<int64_t> count,
                                        int64_t features) {
  if (!count || *count > features) return std::nullopt;
  return fmt::format(
      "{} has {} pictures for {} features: its covariance is singular and FID is far above that of "
      "more pictures; "
      "compare it with equal numbers only, or use KID",
      side, *count, features);
}

FidScore fid_score(const FeatureStatistics& a, const FeatureStatistics& b, at::Device device) {
  const at::NoGradGuard no_grad;
  const MatrixThreads threads;
  FidScore score;
  score.fid = frechet_distance(a.gaussian, b.gaussian);
  if (a.features.defined() && b.features.defined())
    score.kid = kid(a.features.to(device), b.features.to(device));
  return score;
}

}  // namespace lockstep
