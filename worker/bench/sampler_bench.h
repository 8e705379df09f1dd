// Measures samplers side by side: time, memory and distance to a long reference, row by row.
//
// Every row starts from the same noise (run.seed, picture number), so that two rows differ in the
// sampler's choices alone. The reference is DPM-Solver++ 2M with trailing times in fp32: of second
// order, so that at 1,000 steps its own error lies far below what rows of 10 to 100 steps show
// (docs/sampling.md). It clips the estimated picture if the row does, since that changes what a
// sampler converges to. On a CPU a batch is cut into one share a thread, as `lockstep sample`
// draws; on a GPU it is one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/progress.h"
#include "report/sampler_report.h"
#include "tasks/images/image_drawing.h"
#include "tensor/device.h"
#include "train/memory_meter.h"
#include "train/profile.h"

namespace lockstep {

struct SamplerBenchOptions {
  std::vector<std::string> samplers = {"ddim", "dpmpp_2m", "ddpm"};
  std::vector<int64_t> steps = {10, 20, 50};  // ddpm takes all timesteps, once
  std::vector<std::string> precisions = {"fp32"};
  std::vector<std::string> graphs = {"off"};
  std::vector<std::string> attentions = {"auto"};
  int64_t batch = 8;               // pictures a draw
  int64_t repeats = 5;             // draws that are timed
  int64_t warmup = 3;              // network passes before them (≥ 1), whose memory is measured
  int64_t reference_steps = 1000;  // at most the schedule's timesteps; 0: no reference, no errors
  uint64_t seed = 17;
  bool profile = false;
};

// One row before it is measured.
struct SamplerCase {
  Choice sampler;
  SamplerRow row;
};

// The cases in the order of the lists: attention varies fastest, then graph, precision, steps,
// samplers. Options of `configured` (the config's section) count where it is of the same kind.
// Throws ConfigError for an unknown name, or for steps that the schedule does not have.
std::vector<SamplerCase> sampler_cases(const SamplerBenchOptions& options, const Choice& configured,
                                       const DiffusionSchedule& schedule);

// Why a row cannot run on a device type ("cpu", "cuda"); "" if it can.
std::string why_not(const SamplerRow& row, const std::string& device);

class SamplerBench {
 public:
  // `replicas`: equal networks of `images` on `device`, one a thread of a CPU or one on a GPU; all
  // outlive this object.
  SamplerBench(const ImageDiffusion& images, std::vector<Model*> replicas, Device& device,
               SamplerBenchOptions options);

  using Score =
      std::function<std::optional<double>(const SamplerCase&)>;  // FID of a case; empty: none
  // Measures the cases into report.rows, in order. Rows that cannot run say why. Ends early, with
  // report.is_complete false, when a stop is requested. Each finished row is shown above the bar.
  void run(std::vector<SamplerCase> cases, SamplerReport& report, const Score& score = {});
  // Operators of a few passes, by "precision, attention"; empty without options.profile.
  const std::map<std::string, std::string>& operator_tables() const { return operator_tables_; }

 private:
  struct Draw;
  struct Stopped {};

  bool on_gpu() const { return !device_.is_cpu(); }
  std::string device_name() const { return on_gpu() ? "cuda" : "cpu"; }
  Draw draw(const PictureDrawer& drawer, const std::string& compute, bool with_memory = false);
  Draw draw_on_device(const PictureDrawer& drawer, const std::string& compute, bool with_memory);
  Draw draw_on_threads(const PictureDrawer& drawer, const std::string& compute, bool with_memory);
  void warm_up(const SamplerCase& one, const PictureDrawer& drawer, SamplerRow& row);
  std::unique_ptr<SamplerPlan> plan_of(const Choice& sampler, int64_t most_steps = 0) const;
  const at::Tensor& reference(bool clip, SamplerReport& report);
  void measure(const SamplerCase& one, SamplerRow& row);
  void compare(const SamplerCase& one, const at::Tensor& pictures, SamplerReport& report,
               SamplerRow& row);
  void profile(const PictureDrawer& drawer, const SamplerRow& row);
  int64_t passes_of(const std::vector<SamplerCase>& cases) const;

  const ImageDiffusion& images_;
  std::vector<Model*> replicas_;
  Device& device_;
  SamplerBenchOptions options_;
  std::map<bool, at::Tensor> references_;  // by clip
  std::map<std::string, std::string> operator_tables_;
  at::Tensor pictures_;  // of the row's last draw
  std::unique_ptr<Progress> progress_;
  int64_t passes_ = 0;
  std::string note_;
};

}  // namespace lockstep
