// `export`: what other programs read.
#include <fmt/format.h>

#include <cstdio>

#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "interop/exports.h"
#include "interop/trtexec.h"
#include "tensor/safetensors.h"
#include "train/trained_model.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {
namespace {

// The constants of a diffusion's noise schedule.
int export_schedule(const Arguments& arguments, const std::string& config) {
  const std::string output = arguments.required("--output", "export schedule");
  const LoadedConfig loaded = load_config(config, arguments.overrides());
  const NamedTensors tables = with_place_of_keys(loaded.sources, config, [&] {
    const auto task = loaded.kinds->tasks.make(loaded.config->task);
    const auto* diffusion = dynamic_cast<const DiffusionTask*>(task.get());
    if (diffusion == nullptr)
      throw ConfigError("task.kind names a task without a diffusion schedule",
                        "set task.kind=image_diffusion");
    return diffusion->schedule_tables();
  });
  write_atomic(output, [&](const fs::path& path) { save_safetensors(path, tables); });
  return 0;
}

// "", "fp16" or "bf16".
std::string precision_of(const Arguments& arguments) {
  if (arguments.has("--fp16") && arguments.has("--bf16"))
    throw ConfigError("--fp16 and --bf16 are given both", "name one of them");
  return arguments.has("--fp16") ? "fp16" : arguments.has("--bf16") ? "bf16" : "";
}

void check_flags(const Arguments& arguments, const ExportFormat& format) {
  for (const char* flag : {"--guidance", "--external-data", "--trtexec"})
    if (arguments.has(flag) && std::string(format.name) != "onnx")
      throw ConfigError(fmt::format("{} is for --format onnx, not {}", flag, format.name), "",
                        {"command line", 1, 1, flag});
  for (const char* flag : {"--fp16", "--bf16", "--batches"})
    if (arguments.has(flag) && !arguments.has("--trtexec"))
      throw ConfigError(std::string(flag) + " needs --trtexec",
                        "it is part of TensorRT's command line", {"command line", 1, 1, flag});
}

void refuse_overwriting(const ExportRequest& request) {
  if (request.force || !fs::exists(request.output)) return;
  throw ConfigError("this exists already: " + request.output.string(),
                    "name another --output, or replace it with --force",
                    {"command line", 1, 1, "--output " + request.output.string()});
}

// Prints TensorRT's command line, and runs it where TensorRT is. Throws EnvironmentError if it
// fails.
void build_engine(const Arguments& arguments, const ExportRequest& request,
                  const Exported& exported, const BatchProfile& batch) {
  const std::vector<std::string> words =
      trtexec_words(request.output, exported.inputs, batch, precision_of(arguments));
  std::puts(shell_text(words).c_str());
  std::fflush(stdout);
  const auto program = find_program("trtexec");
  if (!program) {
    log_info("trtexec is not on the PATH: run the line above where TensorRT is installed");
    return;
  }
  log_info("running " + program->string());
  const int code = run_program(*program, words);
  if (code != 0)
    throw EnvironmentError(fmt::format("trtexec ended with exit code {}", code),
                           "its own messages above say why; the ONNX file is complete",
                           {request.output.string(), 0, 0, ""});
  log_info("trtexec ended with exit code 0: " + request.output.string() + ".engine");
}

int export_model(const Arguments& arguments, const std::string& path) {
  ExportRequest request;
  request.output = arguments.required("--output", "export");
  const ExportFormat& format =
      find_export_format(arguments.value("--format").value_or(""), request.output);
  request.force = arguments.has("--force");
  request.guidance = arguments.has("--guidance");
  request.external_data = arguments.has("--external-data");
  check_flags(arguments, format);
  precision_of(arguments);
  const BatchProfile batch = parse_batch_profile(arguments.value("--batches").value_or("1,8,64"));
  refuse_overwriting(request);

  const TrainedModel trained =
      load_trained_model(path, arguments.value("--weights").value_or(""), arguments.overrides());
  const RunConfig& config = *trained.loaded.config;
  ExportSource source;
  source.task = &config.task;
  source.sampler = &config.sampler;
  source.weights = trained.replicas.front()->parameters();
  for (const NamedTensor& buffer : trained.replicas.front()->buffers())
    source.weights.push_back(buffer);
  source.which = trained.which;
  source.step = trained.step;
  const Exported exported = with_place_of_keys(trained.loaded.sources, path,
                                               [&] { return format.write(source, request); });
  log_info(fmt::format("{}: {} from {}", request.output.string(), format.name, trained.source));
  for (const std::string& fact : exported.facts) log_info("  " + fact);
  if (arguments.has("--trtexec")) build_engine(arguments, request, exported, batch);
  return 0;
}

}  // namespace

int export_command(const Words& words) {
  const Arguments arguments(words, {{"--output", true},
                                    {"--format", true},
                                    {"--weights", true},
                                    {"--force", false},
                                    {"--guidance", false},
                                    {"--external-data", false},
                                    {"--trtexec", false},
                                    {"--fp16", false},
                                    {"--bf16", false},
                                    {"--batches", true}});
  const std::vector<std::string>& what = arguments.positionals();
  if (what.size() == 2 && what[0] == "schedule") return export_schedule(arguments, what[1]);
  if (what.size() != 1 || what[0] == "schedule")
    throw ConfigError("export needs a run, a checkpoint or a config",
                      "lockstep export RUN --output F.safetensors, or lockstep export schedule "
                      "CONFIG --output S.safetensors");
  return export_model(arguments, what[0]);
}

}  // namespace lockstep
