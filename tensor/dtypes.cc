#include "tensor/dtypes.h"

#include <iterator>

namespace lockstep {
namespace {

constexpr DtypeName kDtypes[] = {
    {"BOOL", at::kBool, 1},  {"U8", at::kByte, 1},       {"I8", at::kChar, 1},
    {"U16", at::kUInt16, 2}, {"I16", at::kShort, 2},     {"U32", at::kUInt32, 4},
    {"I32", at::kInt, 4},    {"U64", at::kUInt64, 8},    {"I64", at::kLong, 8},
    {"F16", at::kHalf, 2},   {"BF16", at::kBFloat16, 2}, {"F32", at::kFloat, 4},
    {"F64", at::kDouble, 8},
};

}  // namespace

const DtypeName* find_dtype(const std::string& name) {
  for (const DtypeName& row : kDtypes)
    if (name == row.name) return &row;
  return nullptr;
}

const DtypeName* find_dtype(at::ScalarType dtype) {
  for (const DtypeName& row : kDtypes)
    if (dtype == row.dtype) return &row;
  return nullptr;
}

std::string format_shape(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    out += (i ? ", " : "") + (shape[i] == -1 ? "?" : std::to_string(shape[i]));
  return out + "]";
}

}  // namespace lockstep
