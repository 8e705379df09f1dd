#include "optim/measure_update.h"

#include <algorithm>
#include <chrono>
#include <exception>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/text_lines.h"
#include "tensor/kept_values.h"

namespace lockstep {
namespace {

constexpr int kWarmUpRounds = 2, kRounds = 5;
constexpr double kWorthIt = 0.95;  // of the first one's time

// Updates of one implementation, in rounds of as many as one set of rows holds.
class Trial {
 public:
  Trial(const DeviceUpdateSetup& setup, DeviceUpdate& update, Device& device, DeviceQueue& queue)
      : setup_(setup),
        update_(update),
        device_(device),
        queue_(queue),
        done_(setup.counts.updates) {
    queue_.run([&] {
      const auto options = at::TensorOptions().dtype(at::kDouble).device(setup.device);
      totals_ = at::ones({2}, options);
      report_ = at::zeros({DeviceUpdate::kReportSize}, options);
      for (const auto& [name, tensor] : next_rows()) rows_[name] = tensor.to(setup.device);
    });
  }

  // Median seconds of one update.
  double run(bool in_graph) {
    round([&] { one(); });  // libraries make their workspaces
    std::unique_ptr<DeviceGraph> graph;
    if (in_graph) {
      graph = device_.make_graph();
      graph->record(queue_, [&] { one(); });
    }
    std::vector<double> seconds;
    for (int i = -kWarmUpRounds; i < kRounds; ++i) {
      const double taken = round([&] { graph ? graph->replay(queue_) : one(); });
      if (i >= 0) seconds.push_back(taken / DeviceUpdate::kRows);
    }
    std::nth_element(seconds.begin(), seconds.begin() + kRounds / 2, seconds.end());
    return seconds[kRounds / 2];
  }

 private:
  DeviceUpdate::Rows next_rows() const {
    return update_.rows(done_, [&](int64_t) {
      return PlannedUpdate{setup_.optimizer->lr(), setup_.ema == nullptr
                                                       ? std::nullopt
                                                       : std::optional(EmaMove{false, 1e-3f})};
    });
  }

  void one() {
    queue_.run([&] {
      const at::NoGradGuard no_grad;
      update_.run(rows_, totals_, report_);
    });
  }

  // Seconds of kRows updates, each of which finds its row.
  double round(const std::function<void()>& one) {
    queue_.run([&] {
      setup_.gradients->flat().fill_(1e-3);
      for (const auto& [name, tensor] : next_rows()) rows_.at(name).copy_(tensor);
    });
    device_.synchronize();
    const auto start = std::chrono::steady_clock::now();
    const auto begin = queue_.timed_mark();
    for (int64_t i = 0; i < DeviceUpdate::kRows; ++i) one();
    const auto end = queue_.timed_mark();
    end->wait_on_host();
    done_ += DeviceUpdate::kRows;
    return end->seconds_since(*begin).value_or(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }

  const DeviceUpdateSetup& setup_;
  DeviceUpdate& update_;
  Device& device_;
  DeviceQueue& queue_;
  int64_t done_;
  DeviceUpdate::Rows rows_;
  at::Tensor totals_, report_;
};

}  // namespace

std::vector<UpdateTime> measure_updates(const DeviceUpdateSetup& setup, Device& device,
                                        DeviceQueue& queue, bool in_graph) {
  const at::NoGradGuard no_grad;
  DeviceUpdateSetup alone = setup;
  alone.exchange.reset();
  std::vector<UpdateTime> times;
  for (const Implementation implementation : {Implementation::kFused, Implementation::kForeach}) {
    if (implementation == Implementation::kFused &&
        setup.optimizer->fused_kind() == FusedKind::kNone)
      continue;
    alone.choice = ImplementationChoice{implementation, "a trial", "auto"};
    UpdateTime time{implementation, std::nullopt, ""};
    std::unique_ptr<DeviceUpdate> update;
    std::optional<KeptValues> before;
    queue.run([&] {
      update = make_device_update(alone);
      before.emplace(update->state());
    });
    std::exception_ptr no_memory;
    try {
      time.seconds = Trial(alone, *update, device, queue).run(in_graph);
    } catch (const std::exception& error) {
      if (is_out_of_memory(error)) no_memory = std::current_exception();
      time.obstacle = first_line(error.what());
    }
    queue.run([&] { before->put_back(); });
    device.synchronize();
    if (no_memory) std::rethrow_exception(no_memory);
    times.push_back(time);
  }
  return times;
}

ImplementationChoice choose_by_times(const std::string& kind, const std::vector<UpdateTime>& times,
                                     bool in_graph) {
  const UpdateTime* best = nullptr;
  std::string figures;
  for (const UpdateTime& time : times) {
    const std::string name = implementation_name(time.implementation);
    figures += figures.empty() ? "" : ", ";
    figures += time.seconds ? fmt::format("{} {:.4g} ms", name, *time.seconds * 1e3)
                            : fmt::format("{} cannot run: {}", name, time.obstacle);
    if (time.seconds && (best == nullptr || *time.seconds < kWorthIt * *best->seconds))
      best = &time;
  }
  if (best == nullptr)
    throw EnvironmentError("no implementation of the optimizer runs on this device: " + figures,
                           "set run.device=cpu");
  return {best->implementation,
          fmt::format("optimizer {} on the device: {} (auto: an update takes {}{})", kind,
                      implementation_name(best->implementation), figures,
                      in_graph ? ", as graphs" : ""),
          "auto"};
}

}  // namespace lockstep
