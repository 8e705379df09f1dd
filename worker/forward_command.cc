// `forward`: a model on tensors from a file, for checking an import against another framework.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/errors.h"
#include "core/files.h"
#include "tensor/cuda_plugin.h"
#include "tensor/safetensors.h"
#include "train/open_device.h"
#include "train/plan/run_config.h"
#include "train/precision.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {
namespace {

// What `--gradients` differentiates: the loss, or the mean of squares of all outputs.
at::Tensor objective(const NamedTensors& outputs) {
  if (const at::Tensor* loss = find_tensor(outputs, "loss")) return *loss;
  std::vector<at::Tensor> flat;
  for (const NamedTensor& output : outputs)
    if (output.tensor.is_floating_point())
      flat.push_back(output.tensor.reshape({-1}).to(at::kFloat));
  return at::cat(flat).square().mean();
}

void add_gradients(const Model& model, NamedTensors& outputs) {
  std::vector<at::Tensor> parameters;
  for (const NamedTensor& entry : model.parameters()) parameters.push_back(entry.tensor);
  const at::Tensor value = objective(outputs);
  if (!value.requires_grad())
    throw DataError("the outputs do not depend on the weights, so there are no gradients");
  const auto gradients =
      torch::autograd::grad({value}, parameters, {}, std::nullopt, false, /*allow_unused=*/true);
  for (size_t i = 0; i < parameters.size(); ++i)
    outputs.push_back({"grad." + model.parameters()[i].name,
                       gradients[i].defined() ? gradients[i] : at::zeros_like(parameters[i])});
}

}  // namespace

int forward_command(const Words& words) {
  const Arguments arguments(
      words, {{"--weights", true}, {"--inputs", true}, {"--output", true}, {"--gradients"}});
  const LoadedConfig loaded =
      load_config(arguments.one_positional("config"), arguments.overrides());
  const std::string weights = arguments.required("--weights", "forward");
  const std::string output = arguments.required("--output", "forward");
  const NamedTensors inputs = load_safetensors(arguments.required("--inputs", "forward"));

  const auto task = loaded.kinds->tasks.make(loaded.config->task);
  const auto model = task->make_model(static_cast<uint64_t>(loaded.config->run.seed));
  model->load(load_safetensors(weights), weights);
  // The network answers where its inputs lie, on the host; only it computes on a GPU.
  const auto device = device_of_process(
      cuda_plugin_is_open() ? DeviceKind::kCuda : DeviceKind::kCpu, loaded.config->precision.tf32);
  NamedTensors outputs;
  const auto queue = device->make_queue();
  queue->run([&] {
    if (!device->is_cpu()) model->to(device->where());
    at::AutoGradMode gradients(arguments.has("--gradients"));
    {
      const AutocastGuard autocast(loaded.config->precision.compute, /*keep_casts=*/false,
                                   device->where().type());
      outputs = task->forward(*model, inputs);
    }
    if (arguments.has("--gradients")) add_gradients(*model, outputs);
    for (NamedTensor& entry : outputs) entry.tensor = entry.tensor.detach().cpu();
  });
  write_atomic(output, [&](const fs::path& path) { save_safetensors(path, outputs); });
  return 0;
}

}  // namespace lockstep
