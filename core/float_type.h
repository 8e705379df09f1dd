// The floating-point types that kernels read and write; they compute in float32 whatever the type.
#pragma once

#include <cstdint>

namespace lockstep {

enum class FloatType : int32_t { kFloat32 = 0, kBfloat16 = 1, kFloat16 = 2 };

inline constexpr int64_t bytes_of(FloatType type) { return type == FloatType::kFloat32 ? 4 : 2; }

}  // namespace lockstep
