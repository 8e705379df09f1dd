#include "optim/optimize_inputs.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "core/errors.h"

namespace lockstep {

namespace {

constexpr int64_t kMostSteps = 1'000'000;

std::string shape_of(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes().vec(), ", "));
}

void expect_float32(const NamedTensor& input) {
  if (input.tensor.scalar_type() != at::kFloat)
    throw DataError(fmt::format("input '{}' is {}, not float32", input.name,
                                at::toString(input.tensor.scalar_type())),
                    "convert it to float32");
}

[[noreturn]] void refuse(const std::string& name) {
  throw DataError(fmt::format("unknown input '{}'", name),
                  "inputs are param.NAME, grad.K.NAME (K = 0, 1, …), found_inf and scale");
}

// "grad.12.NAME" → (12, NAME).
std::pair<int64_t, std::string> parse_gradient_name(const std::string& name) {
  const size_t begin = std::string("grad.").size();
  const size_t dot = name.find('.', begin);
  if (dot == std::string::npos || dot == begin || dot - begin > 7) refuse(name);
  const std::string digits = name.substr(begin, dot - begin);
  const bool leading_zero = digits.size() > 1 && digits[0] == '0';
  if (digits.find_first_not_of("0123456789") != std::string::npos || leading_zero) refuse(name);
  return {std::stoll(digits), name.substr(dot + 1)};
}

std::vector<float> per_step(const NamedTensors& inputs, const std::string& name, int64_t steps) {
  const at::Tensor* tensor = find_tensor(inputs, name);
  if (tensor == nullptr) return {};
  expect_float32({name, *tensor});
  if (tensor->dim() != 1 || tensor->size(0) != steps)
    throw DataError(
        fmt::format("input '{}' has shape {}, expected [{}]", name, shape_of(*tensor), steps),
        "give one number a step");
  const at::Tensor values = tensor->contiguous();
  return {values.data_ptr<float>(), values.data_ptr<float>() + steps};
}

}  // namespace

OptimizeInputs read_optimize_inputs(const NamedTensors& inputs) {
  OptimizeInputs result;
  std::map<std::pair<int64_t, std::string>, at::Tensor> gradients;
  std::set<std::string> names;
  int64_t steps = 0;
  for (const NamedTensor& input : inputs) {
    if (!names.insert(input.name).second)
      throw DataError(fmt::format("input '{}' is given twice", input.name));
    if (input.name == "found_inf" || input.name == "scale") continue;
    expect_float32(input);
    if (input.name.starts_with("param.") && input.name.size() > 6) {
      result.parameters.push_back({input.name.substr(6), input.tensor.contiguous()});
    } else if (input.name.starts_with("grad.")) {
      const auto key = parse_gradient_name(input.name);
      gradients[key] = input.tensor;
      steps = std::max(steps, key.first + 1);
    } else {
      refuse(input.name);
    }
  }
  if (result.parameters.empty()) throw DataError("the inputs have no tensor 'param.NAME'");
  if (steps == 0) throw DataError("the inputs have no tensor 'grad.0.NAME'");
  if (steps > kMostSteps) throw DataError(fmt::format("{} steps are too many", steps));
  for (int64_t k = 0; k < steps; ++k)
    for (const NamedTensor& parameter : result.parameters) {
      const auto found = gradients.find({k, parameter.name});
      const std::string name = fmt::format("grad.{}.{}", k, parameter.name);
      if (found == gradients.end())
        throw DataError(fmt::format("input '{}' is missing", name),
                        "every step needs a gradient of every parameter");
      if (found->second.sizes() != parameter.tensor.sizes())
        throw DataError(fmt::format("input '{}' has shape {}, its parameter {}", name,
                                    shape_of(found->second), shape_of(parameter.tensor)));
      if (result.gradients.size() == static_cast<size_t>(k)) result.gradients.emplace_back();
      result.gradients.back().push_back(found->second);
      gradients.erase(found);
    }
  if (!gradients.empty()) {
    const auto& [key, tensor] = *gradients.begin();
    throw DataError(fmt::format("input 'grad.{}.{}' has no parameter 'param.{}'", key.first,
                                key.second, key.second));
  }
  result.found_inf = per_step(inputs, "found_inf", steps);
  result.scale = per_step(inputs, "scale", steps);
  for (const float scale : result.scale)
    if (!std::isfinite(scale) || scale <= 0)
      throw DataError(fmt::format("input 'scale' holds {}, not a positive number", scale));
  return result;
}

}  // namespace lockstep
