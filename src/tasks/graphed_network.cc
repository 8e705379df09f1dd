#include "tasks/graphed_network.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <fmt/format.h>

#include "core/log.h"

namespace lockstep {
namespace {

// A low-precision copy of a weight that was made before the recording would be a part of it, and soon stale.
class NoCastCache {
 public:
  NoCastCache() : old_(at::autocast::is_autocast_cache_enabled()) { at::autocast::set_autocast_cache_enabled(false); }
  ~NoCastCache() { at::autocast::set_autocast_cache_enabled(old_); }

 private:
  const bool old_;
};

}  // namespace

GraphedNetwork::GraphedNetwork(Device& device, Network network)
    : device_(device), network_(std::move(network)), queue_(device.make_queue()) {
  device_.synchronize();  // weights that were written on another queue are there
}

void GraphedNetwork::take(const DenoiserInput& input) {
  const auto bring = [&](at::Tensor& place, const at::Tensor& value) {
    if (!value.defined()) return;
    if (!place.defined()) place = at::empty(value.sizes(), value.options().device(device_.where()));
    place.copy_(value);
  };
  bring(inputs_.x, input.x);
  bring(inputs_.t, input.t);
  bring(inputs_.self_condition, input.self_condition);
  bring(inputs_.classes, input.classes);
}

void GraphedNetwork::record() {
  auto graph = device_.make_graph();
  try {
    graph->record(*queue_, [this] { output_.copy_(network_(inputs_)); });
    graph_ = std::move(graph);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    log_info(fmt::format("the network's pass cannot be recorded in a graph ({}); continuing pass by pass", text.substr(0, text.find('\n'))));
    records_ = false;
  }
}

at::Tensor GraphedNetwork::operator()(const DenoiserInput& input) {
  const at::NoGradGuard no_grad;
  const NoCastCache no_cast_cache;
  at::Tensor answer;
  queue_->run([&] { take(input); });
  if (records_ && graph_ == nullptr && passes_ >= kWarmUp) record();
  ++passes_;
  if (graph_ != nullptr) {
    graph_->replay(*queue_);
  } else {
    queue_->run([&] {
      const at::Tensor made = network_(inputs_);
      if (!output_.defined()) output_ = at::empty_like(made);
      output_.copy_(made);
    });
  }
  queue_->run([&] { answer = output_.cpu(); });
  return answer.is_same(output_) ? answer.clone() : answer;
}

}  // namespace lockstep
