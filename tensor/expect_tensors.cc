// Checks of tensors that come from a command's input file.
#include <algorithm>

#include <fmt/format.h>

#include "core/errors.h"
#include "tensor/dtypes.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

// The tensor called `name`, with the given shape.
const at::Tensor& expect_shape(const NamedTensors& inputs, const std::string& name,
                               const std::vector<int64_t>& shape) {
  const at::Tensor* tensor = find_tensor(inputs, name);
  if (tensor == nullptr) {
    std::string known;
    for (const NamedTensor& entry : inputs) known += (known.empty() ? "" : ", ") + entry.name;
    throw DataError(
        fmt::format("the input tensor '{}' of shape {} is missing", name, format_shape(shape)),
        known.empty() ? "the inputs have no tensors" : "the inputs have: " + known);
  }
  const std::vector<int64_t> got = tensor->sizes().vec();
  const bool fits =
      std::equal(got.begin(), got.end(), shape.begin(), shape.end(),
                 [](int64_t have, int64_t want) { return want == -1 || have == want; });
  if (!fits)
    throw DataError(fmt::format("the input tensor '{}' has shape {}, expected {}", name,
                                format_shape(got), format_shape(shape)));
  return *tensor;
}

[[noreturn]] void refuse_dtype(const at::Tensor& tensor, const std::string& name,
                               const std::vector<int64_t>& shape, const char* wanted) {
  const DtypeName* dtype = find_dtype(tensor.scalar_type());
  throw DataError(fmt::format("the input tensor '{}' {} has dtype {}, expected {} {}", name,
                              format_shape(tensor.sizes().vec()),
                              dtype == nullptr ? c10::toString(tensor.scalar_type()) : dtype->name,
                              wanted, format_shape(shape)));
}

}  // namespace

at::Tensor expect_float(const NamedTensors& inputs, const std::string& name,
                        const std::vector<int64_t>& shape) {
  const at::Tensor& tensor = expect_shape(inputs, name, shape);
  if (tensor.scalar_type() != at::kFloat) refuse_dtype(tensor, name, shape, "F32");
  return tensor.contiguous();
}

at::Tensor expect_integer(const NamedTensors& inputs, const std::string& name,
                          const std::vector<int64_t>& shape) {
  const at::Tensor& tensor = expect_shape(inputs, name, shape);
  switch (tensor.scalar_type()) {
    case at::kLong:
    case at::kInt:
    case at::kShort:
    case at::kChar:
    case at::kByte:
      return tensor.to(at::kLong).contiguous();
    default:
      refuse_dtype(tensor, name, shape, "I64");
  }
}

void refuse_unknown(const NamedTensors& inputs, const std::vector<std::string>& known) {
  for (const NamedTensor& entry : inputs)
    if (std::find(known.begin(), known.end(), entry.name) == known.end())
      throw DataError(fmt::format("unknown input tensor '{}' of shape {}", entry.name,
                                  format_shape(entry.tensor.sizes().vec())),
                      "known: " + fmt::format("{}", fmt::join(known, ", ")));
}

}  // namespace lockstep
