#include "train/step/device_phases.h"

namespace lockstep {

void DevicePhases::enter(DevicePhase phase) {
  if (on_ && !given_up_ && !silent_) marks_.emplace_back(phase, queue_.timed_mark());
}

void DevicePhases::give_up() {
  given_up_ = true;
  marks_.clear();
}

DevicePhases::Marks DevicePhases::take() {
  enter(DevicePhase::kEnd);
  given_up_ = false;
  return std::exchange(marks_, {});
}

std::optional<DeviceSeconds> seconds_of(const DevicePhases::Marks& marks) {
  if (marks.empty()) return std::nullopt;
  DeviceSeconds out;
  const auto put = [&](DevicePhase phase) -> double* {
    switch (phase) {
      case DevicePhase::kCopy:
        return &out.copy;
      case DevicePhase::kForward:
        return &out.forward;
      case DevicePhase::kBackward:
        return &out.backward;
      case DevicePhase::kExchange:
        return &out.exchange;
      case DevicePhase::kUpdate:
        return &out.update;
      case DevicePhase::kGraph:
        out.in_graph = true;
        return &out.graph;
      case DevicePhase::kEnd:
        break;
    }
    return nullptr;
  };
  for (size_t i = 0; i + 1 < marks.size(); ++i) {
    const std::optional<double> seconds = marks[i + 1].second->seconds_since(*marks[i].second);
    double* const sum = put(marks[i].first);
    if (!seconds || sum == nullptr) return std::nullopt;
    *sum += *seconds;
    out.all += *seconds;
  }
  return out;
}

}  // namespace lockstep
