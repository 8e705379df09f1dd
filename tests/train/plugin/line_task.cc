// A task with a closed form, as a plug-in: fits y = w0·x + w1 by least squares. Shows that the
// training loop needs nothing of any particular task.
#include <limits>
#include <memory>

#include <ATen/ATen.h>

#include "tensor/safetensors.h"
#include "train/plan/kinds.h"

namespace {

using namespace lockstep;

struct LineOptions {
  int64_t poison_from = -1;  // steps whose loss is not finite: [from, to)
  int64_t poison_to = -1;
  void fields(FieldVisitor& visit) {
    visit("poison_from", poison_from);
    visit("poison_to", poison_to);
  }
};

class LineModel : public Model {
 public:
  LineModel()
      : w(parameter("w", at::tensor({0.5f, -0.25f}))), unused(parameter("unused", at::ones({3}))) {}
  at::Tensor w, unused;
};

class LineTask : public Task {
 public:
  explicit LineTask(const LineOptions& options) : options_(options) {}
  std::unique_ptr<Model> make_model(uint64_t) const override {
    return std::make_unique<LineModel>();
  }
  void check(const Dataset& dataset) const override {
    if (dataset.arrays().size() != 2) throw DataError("a line needs arrays x and y");
  }
  Loss loss(Model& model, const Batch& batch, const StepContext& context) const override {
    const auto& line = dynamic_cast<LineModel&>(model);
    at::Tensor sum = (line.w[0] * batch.array("x") + line.w[1] - batch.array("y")).square().sum();
    if (context.step >= options_.poison_from && context.step < options_.poison_to)
      sum = sum * std::numeric_limits<float>::infinity();
    return {sum, static_cast<double>(batch.rows())};
  }
  double nominal_count(int64_t rows) const override { return static_cast<double>(rows); }
  std::unique_ptr<Evaluation> evaluation(const Choice& options, const EvaluationData&,
                                         const StepContext&) const override {
    throw ConfigError("a line has no evaluation '" + options.kind + "'");
  }
  NamedTensors forward(Model&, const NamedTensors&) const override { return {}; }
  void sample(Model&, const SampleRequest&) const override {}

 private:
  LineOptions options_;
};

}  // namespace

extern "C" void lockstep_plugin(int abi, Kinds* kinds) {
  if (abi != kPluginAbi) throw EnvironmentError("built for another version of lockstep");
  kinds->tasks.add<LineOptions>("line", "least squares", [](const LineOptions& options) {
    return std::make_unique<LineTask>(options);
  });
}
