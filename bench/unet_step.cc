// Time of one training step of the image UNet: noise, forward, loss, backward, clipping, Adam.
//
//   build/bin/unet_step_bench DIM BATCH SIZE STEPS [fp32|bf16]
//
// One thread. Prints one line of JSON: seconds of each step, wall clock and CPU time of this process (which
// other work on the machine disturbs less), after one step that is not counted. bench/peers/unet_step.py runs
// it and its peer in turn.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <numeric>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "core/philox.h"
#include "models/unet.h"
#include "optim/clip.h"
#include "optim/optimizers.h"
#include "tasks/gaussian_diffusion.h"
#include "tensor/random.h"
#include "train/precision.h"

using namespace lockstep;

namespace {

double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Training {
 public:
  Training(const UnetOptions& options, int64_t batch, int64_t size, const std::string& compute)
      : model_(make_unet(options, 1)), layout_(ArenaLayout::of(model_->parameters())), weights_(layout_),
        gradients_(layout_), optimizers_(optimizers()), diffusion_({}, 0.001), size_(size), compute_(compute), ids_(batch) {
    std::iota(ids_.begin(), ids_.end(), 0);
    weights_.load(model_->parameters(), "", "the initial weights");
    model_->alias_parameters(weights_.views());
    for (size_t i = 0; i < layout_.entries.size(); ++i) model_->parameters()[i].tensor.mutable_grad() = gradients_.views()[i];
    optimizer_ = optimizers_.make(Choice(optimizers_, "adam"), layout_);
  }

  double step(int64_t number) {
    const auto now = static_cast<uint32_t>(number);
    const at::Tensor images = random_uniform(Stream(1, Purpose::kTest), ids_, now, {3, size_, size_}).mul_(2).sub_(1);
    const at::Tensor noise = random_normal(Stream(1, Purpose::kNoise), ids_, now, {3, size_, size_});
    const NoisedBatch batch = diffusion_.noised(images, (at::tensor(ids_) * 97 + number * 31).remainder(1000), noise);
    gradients_.flat().zero_();
    at::Tensor loss;
    {
      const AutocastGuard autocast(compute_);
      loss = diffusion_.losses(model_->predict({batch.x, batch.t, {}, {}, nullptr}), batch).mean();
    }
    loss.backward();
    UpdateTerms terms{.lr = 1e-4};
    terms.gradient.clip = clip_coefficient(gradient_norm(gradients_), 1.0);
    optimizer_->step(weights_, gradients_, terms);
    return loss.item<double>();
  }

 private:
  std::unique_ptr<Denoiser> model_;
  ArenaLayout layout_;
  Arena weights_, gradients_;
  decltype(optimizers()) optimizers_;
  std::unique_ptr<Optimizer> optimizer_;
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
  double loss = training.step(0);
  std::string wall, cpu;
  const int64_t steps = std::atoll(argv[4]);
  for (int64_t number = 1; number <= steps; ++number) {
    const double wall_start = wall_seconds(), cpu_start = cpu_seconds();
    loss = training.step(number);
    const char* comma = number == 1 ? "" : ", ";
    wall += comma + std::to_string(wall_seconds() - wall_start);
    cpu += comma + std::to_string(cpu_seconds() - cpu_start);
  }
  std::printf("{\"wall\": [%s], \"cpu\": [%s], \"loss\": %f}\n", wall.c_str(), cpu.c_str(), loss);
  return 0;
}
