#include "tasks/images/image_nearest.h"

#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "eval/nearest.h"
#include "tasks/images/image_commands.h"
#include "tasks/images/image_drawing.h"

namespace lockstep {
namespace {

class ImageNearest : public Evaluation {
 public:
  ImageNearest(const NearestOptions& options, const ImageEvaluationInput& input)
      : options_(options),
        images_(input.images),
        train_(input.data.train()),
        held_out_(*input.data.validation),
        batch_(std::min(options.batch, options.images)),
        drawer_(*images_, options.sampler, input.context.seed),
        reference_(options.reference_images == 0 ? train_.size() : options.reference_images),
        num_held_out_(std::min(options.images, held_out_.size())) {}

  // Drawn pictures first, then held-out ones.
  int64_t num_chunks() const override {
    return drawn_chunks() + (num_held_out_ + batch_ - 1) / batch_;
  }
  int64_t pieces() const override { return drawer_.steps(); }

  // Sums: distances of drawn pictures, their number; the same of held-out ones.
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const bool drawn = index < drawn_chunks();
    const int64_t first = (drawn ? index : index - drawn_chunks()) * batch_;
    const int64_t count = std::min(batch_, (drawn ? options_.images : num_held_out_) - first);
    at::Tensor pictures;
    if (drawn) {
      pictures = signal_to_pictures(drawer_.draw(model, first, count, batch_, [this] {
                   piece_done();
                 })).cpu();
    } else {
      std::vector<int64_t> ids(static_cast<size_t>(count));
      std::iota(ids.begin(), ids.end(), first);
      pictures = held_out_.read(ids).array("images");
    }
    const std::vector<double> distances = nearest_distances(pictures, train_, reference_);
    const double sum = std::accumulate(distances.begin(), distances.end(), 0.0);
    const auto number = static_cast<double>(count);
    return {drawn ? std::vector<double>{sum, number, 0, 0} : std::vector<double>{0, 0, sum, number},
            {},
            {}};
  }

  std::vector<ScoreInfo> declared_scores() const override {
    // Far below 1 the ratio speaks of copies; above it, smaller is better.
    return {{"nearest", true}, {"nearest_held_out", true}, {"nearest_ratio", true}};
  }

  Scores scores(const std::vector<double>& sums) const override {
    const double nearest = sums.at(0) / sums.at(1), held_out = sums.at(2) / sums.at(3);
    return {{"nearest", nearest},
            {"nearest_held_out", held_out},
            {"nearest_ratio", nearest / held_out}};
  }

  std::map<std::string, std::string> record() const override {
    return {{"images", std::to_string(options_.images)},
            {"reference_images", std::to_string(reference_)},
            {"sampler", fmt::format("{}, {} steps", options_.sampler.kind, drawer_.steps())}};
  }

 private:
  int64_t drawn_chunks() const { return (options_.images + batch_ - 1) / batch_; }

  NearestOptions options_;
  std::shared_ptr<const ImageDiffusion> images_;
  const Dataset& train_;
  const Dataset& held_out_;
  int64_t batch_;
  PictureDrawer drawer_;
  int64_t reference_, num_held_out_;
};

}  // namespace

std::unique_ptr<Evaluation> make_image_nearest(const NearestOptions& options,
                                               const ImageEvaluationInput& input) {
  if (!input.data.train)
    throw ConfigError("evaluation nearest compares with data.train, which is not there",
                      "set data.train");
  if (input.data.validation == nullptr)
    throw ConfigError("evaluation nearest needs held-out pictures for its scale",
                      "set data.validation");
  const DenoiserFacts facts = denoisers().make(input.images->options.model, 0)->facts();
  const Dataset& train = input.data.train();
  check_pictures(train, input.images->options, facts);
  check_pictures(*input.data.validation, input.images->options, facts);
  if (options.reference_images > train.size())
    throw ConfigError(fmt::format("evaluation nearest wants {} reference pictures, there are {}",
                                  options.reference_images, train.size()),
                      "change reference_images; 0 takes all");
  return std::make_unique<ImageNearest>(options, input);
}

}  // namespace lockstep
