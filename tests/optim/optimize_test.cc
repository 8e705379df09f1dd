#include "optim/optimize.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "optim/clip.h"
#include "tests/optim/golden.h"

namespace lockstep {
namespace {

NamedTensors golden_inputs() {
  NamedTensors inputs = golden::tensors(golden::all()["parameters"], "param.");
  for (size_t k = 0; k < golden::all()["gradients"].size(); ++k)
    for (const NamedTensor& gradient :
         golden::tensors(golden::all()["gradients"][k], "grad." + std::to_string(k) + "."))
      inputs.push_back(gradient);
  return inputs;
}

OptimizeSettings settings_for(const std::string& name) {
  const auto& entry = golden::all()["optimizers"][name];
  static const auto optimizer_table = optimizers();
  static const auto schedule_table = schedules();
  OptimizeSettings settings;
  settings.optimizer = golden::optimizer_choice(optimizer_table, entry, "auto");
  settings.schedule = Choice(schedule_table, "constant");
  if (!entry["clip_norm"].is_null()) settings.clip_norm = entry["clip_norm"].get<double>();
  return settings;
}

std::string error_of(const NamedTensors& inputs) {
  try {
    optimize(inputs, settings_for("adamw_default"));
  } catch (const DataError& error) {
    return error.fact();
  }
  return "";
}

TEST(Optimize, GivesPyTorchsTrajectory) {
  for (const char* name : {"adamw_clipped", "sgd_nesterov"}) {
    const NamedTensors outputs = optimize(golden_inputs(), settings_for(name));
    EXPECT_EQ(outputs.size(), 3u * 20);
    for (const auto& [step, by_name] : golden::all()["optimizers"][name]["shown"].items())
      for (const NamedTensor& wanted : golden::tensors(by_name, "param." + step + ".")) {
        const at::Tensor* ours = find_tensor(outputs, wanted.name);
        ASSERT_NE(ours, nullptr) << wanted.name;
        EXPECT_LT(((*ours - wanted.tensor).abs().max() / wanted.tensor.abs().max()).item<double>(),
                  1e-6);
      }
  }
}

TEST(Optimize, ScaleDividesTheGradients) {
  NamedTensors inputs = golden_inputs(), scaled = inputs;
  for (NamedTensor& tensor : scaled)
    if (tensor.name.starts_with("grad.")) tensor.tensor = tensor.tensor * 1024;
  scaled.push_back({"scale", at::full({20}, 1024.0f)});
  const auto a = optimize(inputs, settings_for("adamw_clipped")),
             b = optimize(scaled, settings_for("adamw_clipped"));
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_TRUE(at::equal(a[i].tensor, b[i].tensor)) << a[i].name;
}

TEST(Optimize, OnADeviceGivesTheBitsOfTheHost) {
  NamedTensors inputs = golden_inputs();
  at::Tensor found_inf = at::zeros({20});
  found_inf[3] = 1;
  inputs.push_back({"found_inf", found_inf});
  inputs.push_back({"scale", at::full({20}, 3.0f)});
  const auto device = make_cpu_device();
  for (const char* name : {"adamw_clipped", "sgd_nesterov"}) {
    OptimizeSettings settings = settings_for(name);
    settings.ema = {0.9, 2, true};
    const auto host = optimize(inputs, settings),
               there = optimize_on_device(inputs, settings, *device);
    ASSERT_EQ(host.size(), there.size());
    for (size_t i = 0; i < host.size(); ++i) {
      EXPECT_EQ(host[i].name, there[i].name);
      EXPECT_TRUE(at::equal(host[i].tensor, there[i].tensor)) << name << ", " << host[i].name;
    }
  }
}

TEST(Optimize, AStepWithFoundInfChangesNothingAndIsNoUpdate) {
  NamedTensors inputs = golden_inputs();
  at::Tensor found_inf = at::zeros({20});
  found_inf[3] = 1;
  inputs.push_back({"found_inf", found_inf});
  OptimizeSettings settings = settings_for("adamw_default");
  settings.ema = {0.9, 1, false};
  const auto outputs = optimize(inputs, settings);
  EXPECT_TRUE(
      at::equal(*find_tensor(outputs, "param.3.head"), *find_tensor(outputs, "param.2.head")));
  EXPECT_TRUE(at::equal(*find_tensor(outputs, "ema.3.head"), *find_tensor(outputs, "ema.2.head")));
  NamedTensors without;  // the same without step 3
  for (const NamedTensor& tensor : golden_inputs()) {
    if (tensor.name.starts_with("param.")) without.push_back(tensor);
    for (int k = 0; k < 20; ++k)
      if (k != 3 && tensor.name.starts_with("grad." + std::to_string(k) + "."))
        without.push_back({"grad." + std::to_string(k > 3 ? k - 1 : k) +
                               tensor.name.substr(tensor.name.find('.', 5)),
                           tensor.tensor});
  }
  const auto shorter = optimize(without, settings);
  EXPECT_TRUE(
      at::equal(*find_tensor(outputs, "param.19.head"), *find_tensor(shorter, "param.18.head")));
  EXPECT_TRUE(
      at::equal(*find_tensor(outputs, "ema.19.head"), *find_tensor(shorter, "ema.18.head")));
}

TEST(Optimize, ScheduleAndEmaApply) {
  OptimizeSettings settings = settings_for("sgd_plain");
  static const auto table = schedules();
  settings.schedule = Choice(table, "linear");  // lr·(1 − k/2) over two steps: 0.1, 0.05
  settings.ema = {0.75, 1, false};
  const NamedTensors inputs = {
      {"param.w", at::ones({2})}, {"grad.0.w", at::ones({2})}, {"grad.1.w", at::ones({2})}};
  const auto outputs = optimize(inputs, settings);
  ASSERT_EQ(outputs.size(), 4u);
  EXPECT_NEAR((*find_tensor(outputs, "param.0.w"))[0].item<double>(), 0.9, 1e-7);
  EXPECT_NEAR((*find_tensor(outputs, "param.1.w"))[0].item<double>(), 0.85, 1e-7);
  EXPECT_NEAR((*find_tensor(outputs, "ema.0.w"))[0].item<double>(), 0.975, 1e-7);
  EXPECT_NEAR((*find_tensor(outputs, "ema.1.w"))[0].item<double>(), 0.94375, 1e-7);
}

TEST(Optimize, BadInputsAreDataErrorsThatNameTheTensor) {
  const NamedTensor parameter{"param.w", at::ones({2, 3})}, gradient{"grad.0.w", at::ones({2, 3})};
  EXPECT_EQ(error_of({parameter, gradient}), "");
  EXPECT_EQ(error_of({gradient}), "the inputs have no tensor 'param.NAME'");
  EXPECT_EQ(error_of({parameter}), "the inputs have no tensor 'grad.0.NAME'");
  EXPECT_EQ(error_of({parameter, gradient, {"grad.2.w", at::ones({2, 3})}}),
            "input 'grad.1.w' is missing");
  EXPECT_EQ(error_of({parameter, {"grad.0.w", at::ones({3, 2})}}),
            "input 'grad.0.w' has shape [3, 2], its parameter [2, 3]");
  EXPECT_EQ(error_of({parameter, gradient, {"grad.0.v", at::ones({1})}}),
            "input 'grad.0.v' has no parameter 'param.v'");
  EXPECT_EQ(error_of({parameter, gradient, {"weights", at::ones({1})}}), "unknown input 'weights'");
  EXPECT_EQ(error_of({parameter, gradient, {"grad.x.w", at::ones({1})}}),
            "unknown input 'grad.x.w'");
  EXPECT_EQ(error_of({parameter, gradient, {"grad.01.w", at::ones({1})}}),
            "unknown input 'grad.01.w'");
  EXPECT_EQ(error_of({parameter, {"grad.0.w", at::ones({2, 3}, at::kDouble)}}),
            "input 'grad.0.w' is Double, not float32");
  EXPECT_EQ(error_of({parameter, gradient, {"scale", at::ones({2})}}),
            "input 'scale' has shape [2], expected [1]");
  EXPECT_EQ(error_of({parameter, gradient, {"scale", at::zeros({1})}}),
            "input 'scale' holds 0, not a positive number");
  EXPECT_EQ(error_of({parameter, parameter, gradient}), "input 'param.w' is given twice");
}

}  // namespace
}  // namespace lockstep
