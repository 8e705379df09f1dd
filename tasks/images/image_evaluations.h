// Scores and pictures of the image_diffusion task (the `evaluate` list of a config).
#pragma once

#include <memory>

#include "core/config/kinds.h"
#include "tasks/images/image_diffusion.h"
#include "tasks/task.h"
#include "tasks/validation_loss_options.h"

namespace lockstep {

// Draws numbered pictures and shows them as samples/step-N.png; gives no score.
struct GridOptions {
  int64_t every_steps = 0;
  int64_t images = 25;
  int64_t batch = 25;
  Choice sampler{sampler_kinds(), "ddim"};

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("images", images, Range{1, 100000}, "pictures to draw");
    visit("batch", batch, Range{1, 4096}, "pictures that share a network pass");
    visit("sampler", sampler, "how they are drawn");
  }
};

struct ImageEvaluationInput {
  std::shared_ptr<const ImageDiffusion> images;
  EvaluationData data;
  StepContext context;
};

using ImageEvaluationTable = Table<Evaluation, const ImageEvaluationInput&>;
// Rows: validation_loss, grid, nearest (image_nearest.h), fid (image_fid.h).
const ImageEvaluationTable& image_evaluations();

// Throw ConfigError without validation data, or for a sampler that does not fit.
std::unique_ptr<Evaluation> make_image_validation_loss(const ValidationLossOptions& options,
                                                       const ImageEvaluationInput& input);
std::unique_ptr<Evaluation> make_image_grid(const GridOptions& options,
                                            const ImageEvaluationInput& input);

}  // namespace lockstep
