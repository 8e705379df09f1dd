// One pass of a network, again and again with inputs of one shape: what a sampler does. On a GPU the pass is
// recorded as a graph after two warm-up passes and replayed from then on.
#pragma once

#include <functional>
#include <memory>

#include "models/denoiser.h"
#include "tensor/device.h"

namespace lockstep {

class GraphedNetwork {
 public:
  using Network = std::function<at::Tensor(const DenoiserInput&)>;
  static constexpr int64_t kWarmUp = 2;

  // `network` computes where `device` is. What cannot be recorded goes on pass by pass; the log says so.
  GraphedNetwork(Device& device, Network network);

  // Inputs and output on the host; f32. Every call has the shapes and the defined tensors of the first one.
  at::Tensor operator()(const DenoiserInput& input);
  bool is_recorded() const { return graph_ != nullptr; }

 private:
  void take(const DenoiserInput& input);
  void record();

  Device& device_;
  const Network network_;
  std::unique_ptr<DeviceQueue> queue_;
  DenoiserInput inputs_;  // at fixed places
  at::Tensor output_;     // likewise
  int64_t passes_ = 0;
  bool records_ = true;
  std::unique_ptr<DeviceGraph> graph_;  // destroyed first
};

}  // namespace lockstep
