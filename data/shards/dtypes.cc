#include "data/shards/dtypes.h"

#include <utility>

#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr std::pair<const char*, at::ScalarType> kNames[] = {
    {"u8", at::kByte},   {"i8", at::kChar},    {"i16", at::kShort},  {"i32", at::kInt},
    {"i64", at::kLong},  {"u16", at::kUInt16}, {"u32", at::kUInt32}, {"f16", at::kHalf},
    {"f32", at::kFloat}, {"f64", at::kDouble}};

}  // namespace

std::string dtype_name(at::ScalarType dtype) {
  for (const auto& [name, type] : kNames)
    if (type == dtype) return name;
  throw DataError(fmt::format("shards cannot hold elements of type {}", c10::toString(dtype)),
                  "use u8, i8, i16, i32, i64, u16, u32, f16, f32 or f64");
}

std::optional<at::ScalarType> dtype_of_name(const std::string& name) {
  for (const auto& [known, type] : kNames)
    if (name == known) return type;
  return std::nullopt;
}

}  // namespace lockstep
