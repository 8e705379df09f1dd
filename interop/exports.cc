#include "interop/exports.h"

#include <fmt/format.h>

#include "core/config/config_node.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/version.h"
#include "interop/onnx_denoiser.h"
#include "tasks/images/image_diffusion.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

std::string format_names() {
  std::string out;
  for (const ExportFormat& format : export_formats())
    out += (out.empty() ? "" : ", ") + std::string(format.name);
  return out;
}

// The kind of the task's model, "" for tasks with one model only.
std::string model_kind(const ExportSource& source) {
  if (source.task->kind == "image_diffusion")
    return source.task->as<ImageDiffusionOptions>().model.kind;
  return "";
}

int64_t count_numbers(const NamedTensors& tensors) {
  int64_t count = 0;
  for (const NamedTensor& entry : tensors) count += entry.tensor.numel();
  return count;
}

}  // namespace

std::string weights_fact(const ExportSource& source) {
  return fmt::format("{} tensors, {} numbers ({})", source.weights.size(),
                     count_numbers(source.weights), source.which);
}

const std::vector<ExportFormat>& export_formats() {
  static const std::vector<ExportFormat> list = {
      {"safetensors", ".safetensors", "weights by their framework's names, any task",
       export_safetensors},
      {"onnx", ".onnx", "the network as a graph with open batch: image_diffusion", export_onnx},
      {"diffusers", "", "a folder for DiffusionPipeline.from_pretrained: image_diffusion",
       export_diffusers},
  };
  return list;
}

const ExportFormat& find_export_format(const std::string& name,
                                       const std::filesystem::path& output) {
  std::vector<std::string> names;
  for (const ExportFormat& format : export_formats()) {
    const bool by_extension =
        name.empty() && *format.extension != '\0' && output.extension() == format.extension;
    if (name == format.name || by_extension) return format;
    names.push_back(format.name);
  }
  if (name.empty())
    throw ConfigError("export needs --format, since the output's name does not tell",
                      "one of " + format_names());
  const std::string near = nearest_word(name, names);
  throw ConfigError("unknown format '" + name + "'",
                    near.empty() ? "one of " + format_names()
                                 : "did you mean " + near + "? There are " + format_names(),
                    {"command line", 1, 1, "--format " + name});
}

std::map<std::string, std::string> export_metadata(const ExportSource& source) {
  std::map<std::string, std::string> out = {{"producer", std::string("lockstep ") + kVersion},
                                            {"task", source.task->kind},
                                            {"weights", source.which}};
  if (const std::string model = model_kind(source); !model.empty()) out["model"] = model;
  if (source.step > 0) out["step"] = std::to_string(source.step);
  Choice task = *source.task;
  out["config"] = print_json([&](FieldVisitor& visit) { visit("task", task); });
  return out;
}

Exported export_safetensors(const ExportSource& source, const ExportRequest& request) {
  Metadata metadata = export_metadata(source);
  metadata["format"] = "pt";  // Python's readers ask for the framework
  write_atomic(request.output,
               [&](const fs::path& path) { save_safetensors(path, source.weights, metadata); });
  return {{weights_fact(source)}, {}};
}

Exported export_onnx(const ExportSource& source, const ExportRequest& request) {
  if (source.task->kind != "image_diffusion")
    throw ConfigError(
        fmt::format(
            "ONNX export knows the task image_diffusion with the models {}, not the task {}",
            onnx_models(), source.task->kind),
        "--format safetensors works for every task");
  const auto& options = source.task->as<ImageDiffusionOptions>();
  const DenoiserGraph graph = denoiser_graph(options, source.weights, request.guidance);
  OnnxFileOptions file;
  file.metadata = export_metadata(source);
  file.external_data = request.external_data;
  graph.graph.write(request.output, file);
  Exported out;
  out.facts = {weights_fact(source),
               fmt::format("{} nodes, opset 17, pictures of {} x {}, open batch",
                           graph.graph.num_nodes(), options.image_size, options.image_size)};
  for (const OnnxInput& input : graph.inputs) out.inputs.push_back({input.name, input.shape});
  return out;
}

}  // namespace lockstep
