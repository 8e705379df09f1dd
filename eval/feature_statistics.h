// From pictures to what FID and KID are computed from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/frechet.h"
#include "eval/kid.h"
#include "eval/moments.h"
#include "models/inception/inception.h"

namespace lockstep {

// How a picture comes to have Inception's 299 × 299 pixels; part of every score's record.
//   pytorch  bilinear without antialiasing on [0, 1], then 2x − 1: pytorch-fid, and the seed
//   clean    antialiased bicubic on 0…255, clipped, not rounded, then (x − 128)/128: clean-fid
enum class FidResize { kPytorch, kClean };
FidResize fid_resize_of(const std::string& name);  // throws ConfigError

// Pictures u8 or float of 0…255, [B, 3, H, W] → f32 [B, 3, 299, 299] for Inception.
at::Tensor inception_input(const at::Tensor& images, FidResize resize);

// f32 [B, D] of pictures [3, H, W] of any sizes, a few at a time, where the network lies; pictures
// on the host are brought there, without waiting. Threads as Inception::features.
at::Tensor inception_features(const Inception& inception, const std::vector<at::Tensor>& images,
                              FidResize resize);

// Statistics of one side.
struct FeatureStatistics {
  std::string name;  // for messages
  Gaussian gaussian;
  at::Tensor features;  // [P, D] for KID; undefined if only moments are known
  std::optional<int64_t> count() const { return gaussian.count; }
};

// Moments of at least 2 pictures (else DataError naming the side) and features kept for KID.
FeatureStatistics statistics_of(const std::string& name, const Moments& moments,
                                const at::Tensor& features);

// How statistics were computed; stored beside them, compared when they are read.
struct FeatureRecord {
  int64_t dimensions = 2048;
  std::string resize, inception;  // "pytorch", hash of the weights; "" = not known
  bool tf32 = false;              // a GPU's products were rounded to TF32: other features
};

// Reads `features` [N, D] f32 or f64, or `mu` [D] and `sigma` [D, D] f64 with optional `n`. Throws
// DataError for other tensors, shapes or dtypes, numbers that are not finite, and statistics whose
// record says they come from other weights, features or resizing than `expected` (fields that are
// "" or 0 are not compared).
FeatureStatistics load_statistics(const std::filesystem::path& path, const FeatureRecord& expected);
// Writes mu, sigma, n, with `record` in the metadata. Atomic.
void save_statistics(const std::filesystem::path& path, const FeatureStatistics& statistics,
                     const FeatureRecord& record);

// What to know of the score of a side with `count` pictures, if they are not more than its
// features.
std::optional<std::string> few_pictures(const std::string& side, std::optional<int64_t> count,
                                        int64_t features);

struct FidScore {
  double fid = 0;
  std::optional<KidScore> kid;  // if both sides have features
};
// FID with all cores; KID too, or on `device`.
FidScore fid_score(const FeatureStatistics& a, const FeatureStatistics& b,
                   at::Device device = at::kCPU);

}  // namespace lockstep
