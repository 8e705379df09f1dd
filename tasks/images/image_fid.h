// `{kind: fid}` of the image_diffusion task: pictures drawn from the model against stored ones.
//
// All ranks draw and compute features, chunk after chunk; rank 0 takes the distance. Statistics of
// the reference are computed by all ranks as well, once: rank 0 keeps them in a file
// (eval/statistics_cache.h). Where ranks have GPUs, drawing, features and their sums stay there
// until the last chunk is queued.
#pragma once

#include <memory>
#include <string>

#include "models/diffusion/samplers.h"
#include "tasks/images/image_evaluations.h"

namespace lockstep {

struct FidOptions {
  int64_t every_steps = 0;
  int64_t images = 5000;
  int64_t batch = 64;
  Choice sampler{sampler_kinds(), "ddim"};
  std::string inception;
  int64_t features = 2048;
  std::string resize = "pytorch";
  bool round = true;
  std::string reference = "train";
  int64_t reference_images = 0;
  std::string cache;
  bool tf32 = false;

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("images", images, Range{2, 1e7},
          "pictures to draw; scores compare only for equal numbers");
    visit("batch", batch, Range{1, 4096}, "pictures that share a network pass");
    visit("sampler", sampler, "how they are drawn");
    visit("inception", inception,
          "weights of FID's Inception: scripts/convert inception makes the file");
    visit("features", features, Range{64, 2048}, "2048, 768, 192 or 64: the layer");
    visit("resize", resize, OneOf{{"pytorch", "clean"}},
          "to 299 pixels: as pytorch-fid, or antialiased as clean-fid");
    visit("round", round,
          "drawn pictures to whole numbers of 0 to 255, as if they had been saved; false: as the "
          "seed");
    visit("reference", reference,
          "train (data.train), validation, or a folder of pictures or pattern of shards");
    visit("reference_images", reference_images, at_least(0), "the first so many; 0: all");
    visit("tf32", tf32,
          "on GPUs, Inception's products in TF32: faster, scores differ in the fourth digit");
    visit("cache", cache,
          "folder of kept reference statistics; empty: $LOCKSTEP_CACHE or ~/.cache/lockstep");
  }
};

// Scores `fid`, `kid` and `kid_deviation`. Throws ConfigError without weights or reference,
// DataError for a wrong weights file or a reference of fewer than 2 pictures.
std::unique_ptr<Evaluation> make_image_fid(const FidOptions& options,
                                           const ImageEvaluationInput& input);

}  // namespace lockstep
