#include "worker/bench/sampler_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <limits>
#include <set>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/stop_flag.h"
#include "core/text_lines.h"
#include "kernels/attention_backend.h"
#include "models/diffusion/sampler_update.h"
#include "train/model_threads.h"
#include "train/precision.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kProfiledPasses = 3;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// A network whose passes are timed.
class TimedDenoiser : public Denoiser {
 public:
  TimedDenoiser(Denoiser& inner, double& ms) : inner_(inner), ms_(ms) { facts_ = inner.facts(); }
  at::Tensor predict(const DenoiserInput& input) override {
    const auto begin = Clock::now();
    at::Tensor output = inner_.predict(input);
    ms_ += ms_since(begin);
    return output;
  }

 private:
  Denoiser& inner_;
  double& ms_;
};

bool is_random(const SamplerPlan& plan) {
  return std::any_of(plan.steps.begin(), plan.steps.end(), needs_noise);
}

std::string label(const SamplerRow& row) {
  return fmt::format("{} {} {} {}", row.sampler, row.steps, row.precision, row.attention);
}

}  // namespace

struct SamplerBench::Draw {
  at::Tensor pictures;  // f32 [B, C, H, W] around [-1, 1]
  double ms = 0, cpu_seconds = 0;
  double network_share = 0;     // of the first share's time
  int64_t peak_bytes = 0;       // of all shares, each at its highest
  std::vector<double> step_ms;  // of the first share
};

SamplerBench::SamplerBench(const ImageDiffusion& images, std::vector<Model*> replicas,
                           Device& device, SamplerBenchOptions options)
    : images_(images),
      replicas_(std::move(replicas)),
      device_(device),
      options_(std::move(options)) {
  const auto threads = static_cast<size_t>(
      std::min<int64_t>(options_.batch, static_cast<int64_t>(replicas_.size())));
  replicas_.resize(threads);
  options_.reference_steps =
      std::min(options_.reference_steps, images.diffusion.schedule().timesteps);
}

SamplerBench::Draw SamplerBench::draw(const PictureDrawer& drawer, const std::string& compute,
                                      bool with_memory) {
  return on_gpu() ? draw_on_device(drawer, compute, with_memory)
                  : draw_on_threads(drawer, compute, with_memory);
}

// The clock stops when the pictures are on the host. The host waits once, at the end; steps have no
// times of their own.
SamplerBench::Draw SamplerBench::draw_on_device(const PictureDrawer& drawer,
                                                const std::string& compute, bool with_memory) {
  Draw out;
  device_.synchronize();
  const int64_t before = device_.memory().current_bytes;
  if (with_memory) device_.forget_peak();
  const double cpu = cpu_seconds();
  const auto begin = Clock::now();
  for_each_on_models(replicas_, value_of<Compute>(compute), 1, [&](Model& model, int64_t) {
    const at::Tensor drawn = drawer.draw(model, 0, options_.batch, options_.batch, [&] {
      if (stop_requested()) throw Stopped{};
      progress_->update(++passes_, note_);
    });
    out.pictures = drawn.cpu();
  });
  out.ms = ms_since(begin);
  out.cpu_seconds = cpu_seconds() - cpu;
  out.network_share = std::numeric_limits<double>::quiet_NaN();  // one graph does both
  out.step_ms = {out.ms / static_cast<double>(drawer.steps())};
  out.peak_bytes = std::max<int64_t>(device_.memory().peak_bytes - before, 0);
  return out;
}

SamplerBench::Draw SamplerBench::draw_on_threads(const PictureDrawer& drawer,
                                                 const std::string& compute, bool with_memory) {
  const auto shares = static_cast<int64_t>(replicas_.size());
  const std::vector<MemoryMeter> meters(with_memory ? replicas_.size() : 0);
  std::vector<at::Tensor> parts(replicas_.size());
  Draw out;
  const double cpu = cpu_seconds();
  const auto begin = Clock::now();
  for_each_on_models(replicas_, value_of<Compute>(compute), shares,
                     [&](Model& model, int64_t share) {
                       std::optional<MemoryMeter::Watch> watch;
                       if (with_memory) watch.emplace(meters[static_cast<size_t>(share)]);
                       const int64_t first = share * options_.batch / shares,
                                     count = (share + 1) * options_.batch / shares - first;
                       double network_ms = 0;
                       TimedDenoiser timed(as_denoiser(model), network_ms);
                       const auto share_begin = Clock::now();
                       auto step_begin = share_begin;
                       at::Tensor drawn = drawer.draw(timed, first, count, count, [&] {
                         if (stop_requested()) throw Stopped{};
                         if (share != 0) return;
                         out.step_ms.push_back(ms_since(step_begin));
                         progress_->update(++passes_, note_);
                         step_begin = Clock::now();
                       });
                       if (share == 0) out.network_share = network_ms / ms_since(share_begin);
                       parts[static_cast<size_t>(share)] = std::move(drawn);
                     });
  out.ms = ms_since(begin);
  out.cpu_seconds = cpu_seconds() - cpu;
  out.pictures = at::cat(parts);
  for (const MemoryMeter& meter : meters) out.peak_bytes += meter.peak_bytes();
  return out;
}

std::unique_ptr<SamplerPlan> SamplerBench::plan_of(const Choice& sampler,
                                                   int64_t most_steps) const {
  auto plan = sampler_kinds().make(sampler, images_.diffusion.schedule());
  if (most_steps > 0 && static_cast<int64_t>(plan->steps.size()) > most_steps)
    plan->steps.resize(static_cast<size_t>(most_steps));
  return plan;
}

const at::Tensor& SamplerBench::reference(bool clip, SamplerReport& report) {
  const auto known = references_.find(clip);
  if (known != references_.end()) return known->second;
  DpmppOptions options;
  options.steps = options_.reference_steps;
  options.spacing = "trailing";
  options.clip_x0 = clip;
  note_ = fmt::format("reference of {} steps{}", options.steps, clip ? ", clipped" : "");
  const AttentionGuard attention("auto");
  const PictureDrawer drawer(images_, make_dpmpp_2m(options, images_.diffusion.schedule()),
                             options_.seed);
  const Draw drawn = draw(drawer, "fp32");
  report.reference_steps = options.steps;
  if (report.reference_ms_per_image == 0)
    report.reference_ms_per_image = drawn.ms / static_cast<double>(options_.batch);
  return references_[clip] = drawn.pictures;
}

// Passes before anything is timed, and the memory they take. On a GPU libraries try their
// algorithms in the first ones, whose memory does not count; then `drawer` draws until it replays
// its graph.
void SamplerBench::warm_up(const SamplerCase& one, const PictureDrawer& drawer, SamplerRow& row) {
  PictureDrawer some(images_, plan_of(one.sampler, options_.warmup), options_.seed);
  some.use_graphs(false);
  int64_t bytes = draw(some, row.precision, /*with_memory=*/true).peak_bytes;
  if (on_gpu()) {
    bytes = draw(drawer, row.precision, /*with_memory=*/true).peak_bytes;
    const auto waits = [&] {
      return row.graph == "on" && drawer.steps() <= DeviceSampler::kWarmUp;
    };
    for (int64_t more = 0; more < DeviceSampler::kWarmUp && waits(); ++more)
      draw(drawer, row.precision);
    const std::string obstacle =
        row.graph == "on" ? drawer.why_no_graph(*replicas_.front(), options_.batch) : "";
    if (!obstacle.empty()) row.problem = "not available: no graph of this step (" + obstacle + ")";
  }
  row.peak_megabytes = static_cast<double>(bytes) / (1 << 20);
}

void SamplerBench::measure(const SamplerCase& one, SamplerRow& row) {
  note_ = label(row);
  const AttentionGuard attention(row.attention);
  PictureDrawer drawer(images_, plan_of(one.sampler), options_.seed);
  drawer.use_graphs(row.graph == "on");
  try {
    warm_up(one, drawer, row);
  } catch (const c10::Error& error) {
    if (row.attention == "auto") throw;
    row.problem = "not available: " + row.attention + " attention cannot run this network (" +
                  std::string(error.what_without_backtrace()) + ")";
    row.problem = first_line(row.problem);
  }
  if (!row.problem.empty()) return;
  std::vector<double> draws, steps;
  double network = 0, cpu = 0;  // sums over draws
  for (int64_t i = 0; i < options_.repeats && !stop_requested(); ++i) {
    Draw drawn;
    try {
      drawn = draw(drawer, row.precision);
    } catch (const Stopped&) {
      if (draws.empty()) throw;
      break;  // what was measured counts
    }
    draws.push_back(drawn.ms);
    steps.insert(steps.end(), drawn.step_ms.begin(), drawn.step_ms.end());
    network += drawn.network_share;
    cpu += drawn.cpu_seconds;
    pictures_ = std::move(drawn.pictures);
  }
  const auto repeats = static_cast<double>(draws.size()),
             batch = static_cast<double>(options_.batch);
  row.draw = spread_of(std::move(draws));
  row.step = spread_of(std::move(steps));
  row.network_share = network / repeats;
  row.cpu_ms = 1000 * cpu / repeats;
  row.images_per_second = 1000 * batch / row.draw.p50;
  row.steps_per_second = 1000 * static_cast<double>(row.steps) / row.draw.p50;
  if (options_.profile && !stop_requested()) profile(drawer, row);
}

void SamplerBench::compare(const SamplerCase& one, const at::Tensor& pictures,
                           SamplerReport& report, SamplerRow& row) {
  if (!pictures.isfinite().all().item<bool>()) {
    row.problem = "the pictures are not finite in " + row.precision;
    return;
  }
  const auto plan = plan_of(one.sampler);
  row.is_random = is_random(*plan);
  const bool known = references_.contains(plan->steps.front().clip);
  if (options_.reference_steps == 0 || (stop_requested() && !known)) return;
  const at::Tensor& wanted = reference(plan->steps.front().clip, report);
  row.faster = report.reference_ms_per_image * row.images_per_second / 1000;
  if (row.is_random) return;
  row.error = 0.5 * std::sqrt((pictures - wanted).to(at::kDouble).square().mean().item<double>());
}

void SamplerBench::profile(const PictureDrawer& drawer, const SamplerRow& row) {
  constexpr size_t kRows = 20;
  std::string& text = operator_tables_[row.precision + ", attention " + row.attention];
  if (!text.empty()) return;
  auto plan = std::make_unique<SamplerPlan>(drawer.plan());
  plan->steps.resize(std::min<size_t>(plan->steps.size(), kProfiledPasses));
  const auto passes = static_cast<int64_t>(plan->steps.size());
  PictureDrawer some(images_, std::move(plan), options_.seed);
  some.use_graphs(false);
  OperatorRecording recording;
  draw(some, row.precision);
  text = profile_tables(recording.finish(), kRows, passes);
}

int64_t SamplerBench::passes_of(const std::vector<SamplerCase>& cases) const {
  int64_t passes = 0;
  bool clip[2] = {false, false};
  std::set<std::string> profiled;
  for (const SamplerCase& one : cases) {
    if (!why_not(one.row, device_name()).empty()) continue;
    clip[plan_of(one.sampler)->steps.front().clip ? 1 : 0] = true;
    const bool waits = one.row.graph == "on" && one.row.steps <= DeviceSampler::kWarmUp;
    const int64_t draws =
        options_.repeats + (on_gpu() ? 1 : 0) + (waits ? DeviceSampler::kWarmUp : 0);
    passes += std::min(options_.warmup, one.row.steps) + draws * one.row.steps;
    if (options_.profile && profiled.insert(one.row.precision + one.row.attention).second)
      passes += std::min(kProfiledPasses, one.row.steps);
  }
  return passes + (clip[0] + clip[1]) * options_.reference_steps;
}

void SamplerBench::run(std::vector<SamplerCase> cases, SamplerReport& report, const Score& score) {
  report.batch = options_.batch;
  report.repeats = options_.repeats;
  progress_ = std::make_unique<Progress>("bench", passes_of(cases), "pass");
  try {
    for (SamplerCase& one : cases) {
      SamplerRow row = one.row;
      row.problem = why_not(row, device_name());
      if (row.problem.empty()) measure(one, row);
      if (row.problem.empty()) compare(one, pictures_, report, row);
      if (row.problem.empty() && score && !stop_requested()) row.fid = score(one);
      progress_->print(sampler_row_text(row));
      report.rows.push_back(std::move(row));
      if (stop_requested()) throw Stopped{};
    }
    progress_->finish();
  } catch (const Stopped&) {
    report.is_complete = false;
  }
  progress_.reset();
  mark_best(report.rows);
}

}  // namespace lockstep
