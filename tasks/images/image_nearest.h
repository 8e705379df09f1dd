// `{kind: nearest}` of the image_diffusion task: how far drawn pictures are from the nearest
// training picture, measured by how far held-out ones are (eval/nearest.h). Needs no weights from
// elsewhere.
#pragma once

#include <memory>

#include "models/diffusion/samplers.h"
#include "tasks/images/image_evaluations.h"

namespace lockstep {

struct NearestOptions {
  int64_t every_steps = 0;
  int64_t images = 256;
  int64_t batch = 64;
  Choice sampler{sampler_kinds(), "ddim"};
  int64_t reference_images = 0;

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("images", images, Range{1, 1e6}, "pictures to draw, and held-out ones at most");
    visit("batch", batch, Range{1, 4096}, "pictures that share a network pass");
    visit("sampler", sampler, "how they are drawn");
    visit("reference_images", reference_images, at_least(0),
          "the first so many of data.train; 0: all");
  }
};

// Scores: `nearest`, the mean distance of drawn pictures (0 to 1); `nearest_held_out`, that of as
// many pictures of data.validation; `nearest_ratio`, one by the other: 1 is as close as real
// pictures, much less is copying. Throws ConfigError without training or validation data, DataError
// if they are no pictures of the config's size.
std::unique_ptr<Evaluation> make_image_nearest(const NearestOptions& options,
                                               const ImageEvaluationInput& input);

}  // namespace lockstep
