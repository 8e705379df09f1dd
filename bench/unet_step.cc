// Time of one training step of the image UNet: noise, forward, loss, backward, clipping, Adam.
//
//   build/bin/unet_step_bench DIM BATCH SIZE STEPS [fp32|bf16]
//
// One thread. Prints one line of JSON: seconds of each step, wall clock and CPU time of this process (which
// other work on the machine disturbs less), after one step that is not counted. bench/peers/unet_step.py runs
// it and its peer in turn.
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bench/clocks.h"
#include "bench/trained_arenas.h"
#include "core/philox.h"
#include "models/unet.h"
#include "tasks/gaussian_diffusion.h"
#include "tensor/random.h"
#include "train/precision.h"

using namespace lockstep;

namespace {

class Training {
 public:
  Training(const UnetOptions& options, int64_t batch, int64_t size, const std::string& compute)
      : model_(make_unet(options, 1)), arenas_(*model_, "adam"), diffusion_({}, 0.001), size_(size), compute_(compute),
        ids_(batch) {
    std::iota(ids_.begin(), ids_.end(), 0);
  }

  double step(int64_t number) {
    const auto now = static_cast<uint32_t>(number);
    const at::Tensor images = random_uniform(Stream(1, Purpose::kTest), ids_, now, {3, size_, size_}).mul_(2).sub_(1);
    const at::Tensor noise = random_normal(Stream(1, Purpose::kNoise), ids_, now, {3, size_, size_});
    const NoisedBatch batch = diffusion_.noised(images, (at::tensor(ids_) * 97 + number * 31).remainder(1000), noise);
    arenas_.clear_gradients();
    at::Tensor loss;
    {
      const AutocastGuard autocast(compute_);
      loss = diffusion_.losses(model_->predict({batch.x, batch.t, {}, {}, nullptr}), batch).mean();
    }
    arenas_.descend(loss, 1e-4);
    return loss.item<double>();
  }

 private:
  std::unique_ptr<Denoiser> model_;
  TrainedArenas arenas_;
  GaussianDiffusion diffusion_;
  int64_t size_;
  std::string compute_;
  std::vector<int64_t> ids_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: %s DIM BATCH SIZE STEPS [fp32|bf16]\n", argv[0]);
    return 2;
  }
  at::set_num_threads(1);
  UnetOptions options;
  options.dim = std::atoll(argv[1]);
  Training training(options, std::atoll(argv[2]), std::atoll(argv[3]), argc > 5 ? argv[5] : "fp32");
  print_step_seconds(std::atoll(argv[4]), [&](int64_t number) { return training.step(number); });
  return 0;
}
