// Time of a sampler's own work a step: everything but the network's pass.
//
//   build/bin/sampler_steps_bench --case ddim50-s32-b8 MODE
//
//   --rounds N              one draw that is not counted, then N that are; one line of JSON
//   --serve                 the same for each number that comes on stdin
//   --check IN --output OUT the pictures for `noise` of IN, as tensor `images`
//
// The network is exact: for data N(0, 0.25) the picture that x means is c(t)·x, one multiplication,
// whose time is taken off. A case names sampler (ddim: lucidrains' times; leading: diffusers';
// dpmpp; ddpm) with its passes, size and batch. Of 1,000 timesteps, linear betas; ddpm's passes are
// its timesteps. One thread. bench/peers/sampler_steps.py has the peers.
#include <ATen/ATen.h>

#include "bench/serve.h"
#include "core/philox.h"
#include "tasks/images/image_drawing.h"
#include "tensor/random.h"
#include "tensor/safetensors.h"

using namespace lockstep;

namespace {

struct SamplerCase {
  std::string sampler;
  int64_t steps = 50, size = 32, batch = 8;

  static SamplerCase named(const std::string& name) {
    SamplerCase out;
    char sampler[16] = "";
    int used = 0;
    const int read = std::sscanf(name.c_str(), "%15[a-z]%ld-s%ld-b%ld%n", sampler, &out.steps,
                                 &out.size, &out.batch, &used);
    out.sampler = sampler;
    if (read != 4 || used != static_cast<int>(name.size()) || out.steps < 1 || out.size < 1 ||
        out.batch < 1)
      throw ConfigError("no case: '" + name + "'",
                        "write ddim50-s32-b8: sampler and passes, size, batch");
    return out;
  }

  std::unique_ptr<SamplerPlan> plan(const DiffusionSchedule& schedule) const {
    if (sampler == "ddpm") return make_ddpm({}, schedule);
    if (sampler == "dpmpp") return make_dpmpp_2m({.steps = steps}, schedule);
    if (sampler != "ddim" && sampler != "leading")
      throw ConfigError("no sampler '" + sampler + "'", "ddim, leading, dpmpp, ddpm");
    return make_ddim({.steps = steps, .spacing = sampler == "ddim" ? "lucidrains" : "leading"},
                     schedule);
  }
};

// Says what it took; the picture of N(0, 0.25).
class ExactDenoiser : public Denoiser {
 public:
  explicit ExactDenoiser(const DiffusionSchedule& schedule) {
    for (const double a : schedule.abar)
      factors_.push_back(std::sqrt(a) * 0.25 / (0.25 * a + 1 - a));
  }
  at::Tensor predict(const DenoiserInput& input) override {
    const double begin = wall_seconds();
    at::Tensor out = input.x * factors_[static_cast<size_t>(*input.t.const_data_ptr<int64_t>())];
    seconds += wall_seconds() - begin;
    return out;
  }
  double seconds = 0;

 private:
  std::vector<double> factors_;
};

class Bench {
 public:
  explicit Bench(const SamplerCase& sizes)
      : sizes_(sizes),
        schedule_(diffusion(sizes)),
        plan_(sizes.plan(schedule_.schedule())),
        network_(schedule_.schedule()) {
    for (int64_t id = 0; id < sizes.batch; ++id) ids_.push_back(id);
  }

  at::Tensor draw(const at::Tensor& start) {
    SamplerRun run;
    run.plan = plan_.get();
    run.guidance = &guidance_;
    run.noise = [&](int64_t k) { return noise(static_cast<uint32_t>(k + 1)); };
    return run_sampler(network_, start, run);
  }
  at::Tensor noise(uint32_t step) const {
    return random_normal(Stream(1, Purpose::kSampling), ids_, step, {3, sizes_.size, sizes_.size});
  }

  // Microseconds a step without the network, of one draw.
  double measure() {
    const at::Tensor start = noise(0);
    network_.seconds = 0;
    const double begin = wall_seconds();
    draw(start);
    return 1e6 * (wall_seconds() - begin - network_.seconds) /
           static_cast<double>(plan_->steps.size());
  }

 private:
  static GaussianDiffusion diffusion(const SamplerCase& sizes) {
    DiffusionOptions options;
    options.objective = "pred_x0";
    options.beta_schedule = "linear";
    options.timesteps = sizes.sampler == "ddpm" ? sizes.steps : 1000;
    return {options, 0.001};
  }

  SamplerCase sizes_;
  GaussianDiffusion schedule_;
  std::unique_ptr<SamplerPlan> plan_;
  ExactDenoiser network_;
  GuidanceOptions guidance_;
  std::vector<int64_t> ids_;
};

int run(const BenchFlags& flags) {
  Bench bench(SamplerCase::named(flags.text("case", "ddim50-s32-b8")));
  if (flags.has("check")) {
    const NamedTensors inputs = load_safetensors(flags.text("check"));
    save_safetensors(flags.text("output"),
                     {{"images", (bench.draw(*find_tensor(inputs, "noise")) + 1) * 0.5}});
    return 0;
  }
  bench.measure();
  return rounds_or_serve(flags, [&](int64_t count) {
    std::string text;
    for (int64_t i = 0; i < count; ++i)
      text += (i == 0 ? "" : ", ") + std::to_string(bench.measure());
    return "{\"step_us\": [" + text + "]}";
  });
}

}  // namespace

int main(int argc, char** argv) { return bench_main(argc, argv, run); }
