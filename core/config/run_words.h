// The words of a run's config and plan that decide how a step is computed.
#pragma once

#include "core/config/words.h"

namespace lockstep {

// `precision.compute`: what forward and backward compute in (train/precision.h).
enum class Compute { kFp32, kBf16, kFp16, kBf16Weights, kFp16Weights };
template <>
inline constexpr std::array kWords<Compute> = {"fp32", "bf16", "fp16", "bf16_weights",
                                               "fp16_weights"};

// `run.device`. In a plan it is decided: never kAuto.
enum class DeviceKind { kAuto, kCpu, kCuda };
template <>
inline constexpr std::array kWords<DeviceKind> = {"auto", "cpu", "cuda"};

// `ddp.reduce`: how gradients are added over ranks. In a plan it is decided: never kAuto.
enum class Reduce { kAuto, kTree, kAllReduce };
template <>
inline constexpr std::array kWords<Reduce> = {"auto", "tree", "allreduce"};

// `step.graph`: whether a step is recorded as one CUDA graph.
enum class GraphUse { kAuto, kOff, kOn };
template <>
inline constexpr std::array kWords<GraphUse> = {"auto", "off", "on"};

// In plan.json they are their words.
template <class Json>
void to_json(Json& json, const DeviceKind& value) {
  json = word_of(value);
}
template <class Json>
void from_json(const Json& json, DeviceKind& value) {
  value = value_of<DeviceKind>(json.template get<std::string>());
}
template <class Json>
void to_json(Json& json, const Reduce& value) {
  json = word_of(value);
}
template <class Json>
void from_json(const Json& json, Reduce& value) {
  value = value_of<Reduce>(json.template get<std::string>());
}

}  // namespace lockstep
