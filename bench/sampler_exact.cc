// C19: samplers on a score that is known in closed form, against diffusers' schedulers.
//
//     sampler_exact_bench INPUT.safetensors OUTPUT.safetensors KIND STEPS OPTION=VALUE…
//
// INPUT: `x` f32 [B, C, H, W], the start. Data are a mixture in every element by itself: half
// N(-0.6, 0.2²), half N(0.5, 0.3²), so the noise that a perfect network predicts is a formula.
// OUTPUT: `x` at the end. Prints one line of JSON: seconds of each step without the network.
// bench/peers/sampler_exact.py runs it and its peer in turn.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bench/clocks.h"
#include "core/config/config_node.h"
#include "models/diffusion/sampler_update.h"
#include "tensor/safetensors.h"

using namespace lockstep;

namespace {

// eps(x, t) = -σ ∇ log p_t(x), in double.
at::Tensor perfect_noise(const at::Tensor& x_f32, double alpha_bar) {
  const at::Tensor x = x_f32.to(at::kDouble);
  const double alpha = std::sqrt(alpha_bar), sigma2 = 1 - alpha_bar;
  const auto part = [&](double mean, double deviation) {
    const double variance = alpha_bar * deviation * deviation + sigma2;
    const at::Tensor away = (alpha * mean - x) / variance;
    return std::pair(-0.5 * away * away * variance - 0.5 * std::log(variance), away);
  };
  const auto [log_a, score_a] = part(-0.6, 0.2);
  const auto [log_b, score_b] = part(0.5, 0.3);
  const at::Tensor share = at::sigmoid(log_a - log_b);
  return (-std::sqrt(sigma2) * (share * score_a + (1 - share) * score_b)).to(at::kFloat);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr,
                 "usage: %s INPUT.safetensors OUTPUT.safetensors KIND STEPS [OPTION=VALUE…]\n",
                 argv[0]);
    return 2;
  }
  const at::NoGradGuard no_grad;
  at::set_num_threads(1);
  struct Section {
    Choice sampler{sampler_kinds(), "ddim"};
    void fields(FieldVisitor& visit) { visit("sampler", sampler, ""); }
  } section;
  Node root;
  root.type = Node::Type::kMap;
  std::vector<std::string> words = {std::string("sampler={kind: ") + argv[3] + "}",
                                    std::string("sampler.steps=") + argv[4]};
  for (int i = 5; i < argc; ++i) words.push_back(std::string("sampler.") + argv[i]);
  apply_overrides(root, words);
  read_fields(root, section);
  DiffusionOptions diffusion;
  diffusion.beta_schedule = "linear";
  diffusion.objective = "pred_noise";
  const DiffusionSchedule schedule(diffusion);
  const auto plan = sampler_kinds().make(section.sampler, schedule);
  SamplerState state{find_tensor(load_safetensors(argv[1]), "x")->clone(), {}};
  std::string wall;
  for (const SamplerStep& step : plan->steps) {
    const at::Tensor output =
        perfect_noise(state.x, schedule.abar.at(static_cast<size_t>(step.time)));
    const double start = wall_seconds();
    sampler_update(step, output, {}, state);
    wall += (wall.empty() ? "" : ", ") + std::to_string(1e6 * (wall_seconds() - start));
  }
  save_safetensors(argv[2], {{"x", state.x}});
  std::printf("{\"microseconds\": [%s]}\n", wall.c_str());
  return 0;
}
