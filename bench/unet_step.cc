// Time of one training step of the image UNet: noise, forward, loss, backward, clipping, Adam,
// moving average.
//
//   build/bin/unet_step_bench --case d64-s32-b8 [--compute fp32|bf16|fp16] [--device cpu] MODE
//
//   --rounds N     one step that is not counted, then N that are; one line of JSON
//   --serve        the same for each number that comes on stdin, so that a comparing program can
//                  run the peers in between
//   --until N      N steps from the start of the process, one line of JSON: time to step N
//   --check FILE   no step: loss and gradient norm for the weights, pictures, times and noise of
//                  FILE (safetensors)
//
// A case names dim, size of the pictures, batch, and with -aN the micro-batches of a step
// (d64-s32-b16-a2 is G2's: two forwards of 16). The average moves at every tenth step with decay
// 0.995, as the peer's trainer does. One thread. Seconds are wall clock and CPU time of this
// process; CPU time suffers less from other work on the machine.
// The peers are bench/peers/unet_step.py and unet_step_gpu.py.
#include <cstdio>
#include <numeric>
#include <string>

#include <ATen/ATen.h>

#include "bench/serve.h"
#include "bench/trained_arenas.h"
#include "core/philox.h"
#include "models/unet/unet.h"
#include "tasks/images/gaussian_diffusion.h"
#include "tensor/random.h"
#include "tensor/safetensors.h"
#include "train/precision.h"

using namespace lockstep;

namespace {

// The sizes that a case's name says: d64-s32-b16-a2.
struct UnetCase {
  int64_t dim = 64, size = 32, batch = 8, accumulate = 1;

  static UnetCase named(const std::string& name) {
    UnetCase out;
    int used = 0;
    const int read = std::sscanf(name.c_str(), "d%ld-s%ld-b%ld%n-a%ld%n", &out.dim, &out.size,
                                 &out.batch, &used, &out.accumulate, &used);
    if (read < 3 || used != static_cast<int>(name.size()) || out.dim < 4 || out.size < 8 ||
        out.batch < 1 || out.accumulate < 1)
      throw ConfigError("no case: '" + name + "'",
                        "write d64-s32-b16-a2: dim, size, batch, micro-batches");
    return out;
  }
};

class Training {
 public:
  Training(const UnetCase& sizes, const std::string& compute)
      : sizes_(sizes),
        compute_(compute),
        model_(make_unet(options(sizes), 1)),
        arenas_(*model_, "adam"),
        diffusion_({}, 0.001),
        ids_(static_cast<size_t>(sizes.batch)) {
    std::iota(ids_.begin(), ids_.end(), 0);
  }

  double step(int64_t number) {
    arenas_.clear_gradients();
    double loss = 0;
    for (int64_t part = 0; part < sizes_.accumulate; ++part) {
      const auto now = static_cast<uint32_t>(number * sizes_.accumulate + part);
      const std::vector<int64_t> shape = {3, sizes_.size, sizes_.size};
      const at::Tensor images =
          random_uniform(Stream(1, Purpose::kTest), ids_, now, shape).mul_(2).sub_(1);
      const at::Tensor noise = random_normal(Stream(1, Purpose::kNoise), ids_, now, shape);
      loss += backward(diffusion_.noised(
          images, (at::tensor(ids_) * 97 + static_cast<int64_t>(now) * 31).remainder(1000), noise));
    }
    arenas_.update(1e-4, ema_, number);
    return loss;
  }

  // Loss and gradient norm for given weights and inputs: what the peer must find, too.
  std::string check(const std::string& file) {
    const NamedTensors inputs = load_safetensors(file);
    NamedTensors weights;
    for (const NamedTensor& entry : inputs)
      if (entry.name.starts_with("weight."))
        weights.push_back({entry.name.substr(7), entry.tensor});
    model_->load(weights, file);
    arenas_.clear_gradients();
    const auto input = [&](const char* name) { return *find_tensor(inputs, name); };
    const double loss =
        backward(diffusion_.noised(input("x"), input("t").to(at::kLong), input("noise")));
    char line[128];
    std::snprintf(line, sizeof line, "{\"loss\": %.9g, \"gradient_norm\": %.9g}",
                  loss * static_cast<double>(sizes_.accumulate), arenas_.norm());
    return line;
  }

 private:
  static UnetOptions options(const UnetCase& sizes) {
    UnetOptions options;
    options.dim = sizes.dim;
    return options;
  }

  // A share of the mean over the step's pictures.
  double backward(const NoisedBatch& batch) {
    at::Tensor loss;
    {
      const AutocastGuard autocast(value_of<Compute>(compute_));
      loss = diffusion_.losses(model_->predict({batch.x, batch.t, {}, {}, {}}), batch).mean() /
             static_cast<double>(sizes_.accumulate);
    }
    loss.backward();
    return loss.item<double>();
  }

  UnetCase sizes_;
  std::string compute_;
  std::unique_ptr<Denoiser> model_;
  TrainedArenas arenas_;
  EmaOptions ema_{.decay = 0.995, .every_steps = 10, .warmup = true};
  GaussianDiffusion diffusion_;
  std::vector<int64_t> ids_;
};

int run(const BenchFlags& flags) {
  if (flags.text("device", "cpu") != "cpu")
    throw EnvironmentError("this benchmark computes on a CPU, not on '" + flags.text("device") +
                           "'");
  Training training(UnetCase::named(flags.text("case", "d64-s32-b8")),
                    flags.text("compute", "fp32"));
  if (flags.has("check")) {
    std::puts(training.check(flags.text("check")).c_str());
    return 0;
  }
  return run_steps(
      flags, [&](int64_t number) { return training.step(number); }, [] { return std::string(); });
}

}  // namespace

int main(int argc, char** argv) { return bench_main(argc, argv, run); }
