// The numbers of golden/golden.json (made by golden/make_golden.py from PyTorch and ema-pytorch).
#pragma once

#include <ATen/ATen.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensor/named.h"

namespace lockstep::golden {

inline const nlohmann::json& all() {
  static const nlohmann::json json = [] {
    std::ifstream file(std::string(LOCKSTEP_SOURCE_DIR) + "/tests/optim/golden/golden.json");
    return nlohmann::json::parse(file);
  }();
  return json;
}

inline at::Tensor tensor(const nlohmann::json& numbers, const std::vector<int64_t>& shape) {
  const auto values = numbers.get<std::vector<double>>();
  return at::tensor(values, at::kDouble).to(at::kFloat).view(shape);
}

// {"NAME": numbers} → tensors in the order of "shapes" (sorted by name).
inline NamedTensors tensors(const nlohmann::json& by_name, const std::string& prefix = "") {
  NamedTensors result;
  for (const auto& [name, shape] : all()["shapes"].items())
    result.push_back({prefix + name, tensor(by_name[name], shape.get<std::vector<int64_t>>())});
  return result;
}

// A Choice of `table` with the options of a golden optimizer.
template <class Table>
Choice optimizer_choice(const Table& table, const nlohmann::json& entry,
                        const std::string& implementation) {
  Choice choice(table, entry["kind"]);
  struct Set : FieldVisitor {
    const nlohmann::json& options;
    std::string implementation;
    Set(const nlohmann::json& o, std::string i) : options(o), implementation(std::move(i)) {}
    void field(const Field& field) override {
      if (auto* const* number = std::get_if<double*>(&field.value)) {
        if (options.contains(field.name)) **number = options[field.name];
        if (field.name == "beta1" && options.contains("betas")) **number = options["betas"][0];
        if (field.name == "beta2" && options.contains("betas")) **number = options["betas"][1];
      }
      if (auto* const* flag = std::get_if<bool*>(&field.value))
        if (options.contains(field.name)) **flag = options[field.name];
      if (auto* const* text = std::get_if<std::string*>(&field.value))
        if (field.name == "implementation") **text = implementation;
    }
  } set(entry["options"], implementation);
  choice.options->visit(set);
  return choice;
}

}  // namespace lockstep::golden
