// A sampler that runs where its network lies: state, table of coefficients, noise and the count of
// steps stay on the device, and one step (the network's pass and the sampler's update) is recorded
// as a graph once and replayed for every step of every batch of that shape.
//
// The host only queues: it waits for nothing before the last step is done. Noise of numbered
// pictures is drawn on the device from the counters of core/philox.h, so pictures are those of a
// CPU but for the rounding of the network and of logarithms. One thread at a time. Runs on the CPU
// too (tests).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/philox.h"
#include "models/denoiser.h"
#include "models/diffusion/samplers.h"
#include "models/unet/class_unet.h"
#include "tensor/device.h"

namespace lockstep {

// What one trajectory starts from, and who looks on. Tensors lie on the host.
struct SamplerDraw {
  // Either numbered rows: start and noise by Philox, step 0 and k+1 …
  const Stream* stream = nullptr;
  std::vector<int64_t> ids;
  // … or given ones: f32 [B, C, H, W], and the noise of the k-th step for steps that need some.
  at::Tensor start;
  std::function<at::Tensor(int64_t k)> noise;
  at::Tensor classes;  // i64 [B]; networks with classes need it
  std::function<void()>
      after_step;  // called as steps are done, from this thread; may throw to give up
  std::function<void(int64_t k, const at::Tensor& x)>
      look;  // x on the host; who looks waits for every step
};

class DeviceSampler {
 public:
  static constexpr int64_t kWarmUp = 2;  // steps operation by operation before the recording

  // For states of `sizes` [B, C, H, W]. The model and `plan` outlive this. `with_graph` false:
  // never records.
  DeviceSampler(std::unique_ptr<Device> device, Denoiser& model, const SamplerPlan& plan,
                const GuidanceOptions& guidance, std::vector<int64_t> sizes,
                bool with_graph = true);
  ~DeviceSampler();
  DeviceSampler(const DeviceSampler&) = delete;
  DeviceSampler& operator=(const DeviceSampler&) = delete;

  // The pictures, f32 around [-1, 1] on the device: valid until the next draw. Under the caller's
  // autocast.
  const at::Tensor& draw(const SamplerDraw& draw);

  bool is_recorded() const { return graph_ != nullptr; }
  const std::string& obstacle() const {
    return obstacle_;
  }  // why there is no graph; "" = there is one, or none was tried

 private:
  void begin(const SamplerDraw& draw);
  void bring_noise(const at::Tensor& noise);
  // Gives the parameters, for the recording, the memory that a pass would convert them to: low
  // precision under autocast, on a GPU convolutions channels last. `moved`: whose memory it took
  // away, and that memory.
  using Parameters = std::vector<std::pair<at::Tensor, at::Tensor>>;
  void place_weights(Parameters& moved);
  void step();     // what is recorded
  void advance();  // one step, recorded, replayed or operation by operation
  void record();

  std::unique_ptr<Device> device_;
  Denoiser& model_;
  const SamplerPlan& plan_;
  const GuidanceOptions& guidance_;
  bool with_graph_, draws_noise_ = false;
  std::string obstacle_;
  int64_t warm_up_ = 0;
  PhiloxKey key_{};
  std::unique_ptr<DeviceQueue> queue_;
  // At fixed places. now_: steps begun, i64 [1]; row and time 0 stand for the start.
  at::Tensor x_, start_, noise_, table_, times_, now_, ids_, classes_;
  Parameters
      copies_;  // the weights and what was recorded reads in their place: each draw writes it anew
  std::unique_ptr<DeviceGraph> graph_;  // destroyed first
};

// Samplers that were recorded, by network and shape. Any thread.
class DeviceSamplers {
 public:
  DeviceSampler& of(Denoiser& model, const SamplerPlan& plan, const GuidanceOptions& guidance,
                    const std::vector<int64_t>& sizes, bool with_graph);

 private:
  std::mutex mutex_;
  std::map<std::pair<const Model*, std::vector<int64_t>>, std::unique_ptr<DeviceSampler>> samplers_;
};

}  // namespace lockstep
