// `bench sampler`: samplers, steps, precisions and attention side by side, with times and
// qualities.
#include <cstdio>
#include <fstream>

#include <fmt/format.h>
#include <torch/version.h>

#include "core/cuda_driver.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "core/stop_flag.h"
#include "train/plan/run_plan.h"
#include "train/trained_model.h"
#include "worker/arguments.h"
#include "worker/bench/bench_fid.h"
#include "worker/bench/sampler_bench.h"
#include "worker/commands.h"

namespace lockstep {
namespace {

std::vector<Flag> bench_flags() {
  std::vector<Flag> flags = {{"--samplers", true}, {"--steps", true},     {"--precision", true},
                             {"--graph", true},    {"--attention", true}, {"--batch", true},
                             {"--repeats", true},  {"--warmup", true},    {"--reference", true},
                             {"--weights", true},  {"--seed", true},      {"--threads", true},
                             {"--output", true},   {"--device", true},    {"--json"},
                             {"--profile"}};
  flags.insert(flags.end(), bench_fid_flags().begin(), bench_fid_flags().end());
  return flags;
}

// "ddim,ddpm" → its words.
std::vector<std::string> list_of(const Arguments& arguments, const std::string& flag,
                                 std::vector<std::string> otherwise) {
  const auto text = arguments.value(flag);
  if (!text) return otherwise;
  std::vector<std::string> words;
  for (size_t begin = 0; begin <= text->size();) {
    const size_t end = std::min(text->find(',', begin), text->size());
    words.push_back(text->substr(begin, end - begin));
    if (words.back().empty())
      throw ConfigError(flag + " has an empty entry", "separate entries by single commas",
                        on_command_line(flag + " " + *text));
    begin = end + 1;
  }
  return words;
}

int64_t number_of(const std::string& flag, const std::string& text, int64_t least, int64_t most) {
  const bool digits = !text.empty() && text.size() < 10 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  const int64_t value = digits ? std::stoll(text) : -1;
  if (value < least || value > most)
    throw ConfigError(
        fmt::format("{} takes whole numbers from {} to {}, not '{}'", flag, least, most, text), "",
        on_command_line(flag + " " + text));
  return value;
}

int64_t number_flag(const Arguments& arguments, const std::string& flag, int64_t least,
                    int64_t most, int64_t otherwise) {
  const auto text = arguments.value(flag);
  return text ? number_of(flag, *text, least, most) : otherwise;
}

SamplerBenchOptions options_of(const Arguments& arguments, uint64_t seed, const Device& device) {
  constexpr int64_t kMany = 1'000'000;
  SamplerBenchOptions options;
  options.samplers = list_of(arguments, "--samplers", options.samplers);
  if (arguments.has("--steps")) {
    options.steps.clear();
    for (const std::string& text : list_of(arguments, "--steps", {}))
      options.steps.push_back(number_of("--steps", text, 1, kMany));
  }
  options.precisions = list_of(arguments, "--precision", options.precisions);
  options.graphs = list_of(arguments, "--graph",
                           device.is_cpu() ? options.graphs : std::vector<std::string>{"on"});
  options.attentions = list_of(arguments, "--attention", options.attentions);
  options.batch = number_flag(arguments, "--batch", 1, 4096, options.batch);
  options.repeats = number_flag(arguments, "--repeats", 1, kMany, options.repeats);
  options.warmup = number_flag(arguments, "--warmup", 1, kMany, options.warmup);
  options.reference_steps =
      number_flag(arguments, "--reference", 0, kMany, options.reference_steps);
  options.seed = static_cast<uint64_t>(
      number_flag(arguments, "--seed", 0, 999'999'999, static_cast<int64_t>(seed)));
  options.profile = arguments.has("--profile");
  return options;
}

// The overrides; --device stands for run.device.
std::vector<std::string> bench_overrides(const Arguments& arguments) {
  std::vector<std::string> out = arguments.overrides();
  if (const auto device = arguments.value("--device")) out.push_back("run.device=" + *device);
  return out;
}

// A run's or a file's weights; of a config alone, random ones.
TrainedModel model_of(const Arguments& arguments, const std::string& path) {
  const std::string weights = arguments.value("--weights").value_or("");
  if (!weights.empty() || (path != "-" && fs::is_directory(path)))
    return load_trained_model(path, weights, bench_overrides(arguments), arguments.threads());
  log_warning(
      "a config alone has no weights: the bench runs on random weights. Times hold, errors say "
      "nothing about a trained model");
  return load_trained_model(path, "initial", bench_overrides(arguments), arguments.threads());
}

bool is_random(const TrainedModel& trained) { return trained.which == "initial"; }

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      return line.substr(std::min(line.find(':') + 2, line.size()));
  return "unknown";
}

std::vector<std::pair<std::string, std::string>> facts_of(const std::string& path,
                                                          const TrainedModel& trained,
                                                          const ImageDiffusion& images) {
  int64_t parameters = 0;
  for (const auto& [name, tensor] : trained.replicas.front()->parameters())
    parameters += tensor.numel();
  const Machine machine = probe_machine();
  const int64_t size = images.options.image_size;
  const std::string host = fmt::format("cpu ({}), {} threads of {} cores", machine.isa,
                                       trained.replicas.size(), machine.cores);
  std::vector<std::pair<std::string, std::string>> facts = {{"config", path}};
  facts.push_back({"model", fmt::format("{}, {} weights, {} x {} pixels, {} timesteps",
                                        images.options.model.kind, parameters, size, size,
                                        images.diffusion.schedule().timesteps)});
  facts.push_back({"weights", is_random(trained)
                                  ? "random"
                                  : fmt::format("{}, step {}", trained.source, trained.step)});
  facts.push_back({"device", trained.device->is_cpu() ? host : trained.device->describe()});
  facts.push_back({"processor", processor_name()});
  facts.push_back({"libtorch", TORCH_VERSION});
  if (trained.device->is_cpu()) return facts;
  facts.push_back({"driver", fmt::format("CUDA {}.{}", cuda_driver().version / 1000,
                                         cuda_driver().version % 1000 / 10)});
  facts.push_back({"tf32", trained.loaded.config->precision.tf32 ? "on" : "off"});
  return facts;
}

void write(const SamplerReport& report, const std::string& path) {
  if (path.empty()) return;
  const std::string extension = fs::path(path).extension().string();
  write_file_atomic(path, extension == ".json"  ? sampler_report_json(report) + "\n"
                          : extension == ".csv" ? sampler_report_csv(report)
                                                : sampler_report_page(report));
}

void check_output(const std::string& path) {
  if (path.empty()) return;
  const std::string extension = fs::path(path).extension().string();
  if (extension != ".json" && extension != ".csv" && extension != ".html")
    throw ConfigError("--output ends in '" + extension + "'", "use .json, .csv or .html",
                      on_command_line("--output " + path));
}

}  // namespace

int bench_command(const Words& words) {
  if (words.empty() || words.front() != "sampler")
    throw ConfigError(
        words.empty() ? "bench needs to know what" : "bench knows no '" + words.front() + "'",
        "lockstep bench sampler CONFIG");
  const Arguments arguments({words.begin() + 1, words.end()}, bench_flags());
  const std::string path = arguments.one_positional("run folder or config"),
                    output = arguments.value("--output").value_or("");
  check_output(output);
  const TrainedModel trained = model_of(arguments, path);
  const RunConfig& config = *trained.loaded.config;
  if (config.task.kind != "image_diffusion")
    throw ConfigError("bench sampler measures image diffusion, and the task is " + config.task.kind,
                      "set task.kind=image_diffusion");
  const auto shared_images =
      std::make_shared<const ImageDiffusion>(config.task.as<ImageDiffusionOptions>());
  const ImageDiffusion& images = *shared_images;
  images.check(as_denoiser(*trained.replicas.front()).facts());
  const SamplerBenchOptions options =
      options_of(arguments, static_cast<uint64_t>(config.run.seed), *trained.device);
  std::vector<SamplerCase> cases =
      sampler_cases(options, config.sampler, images.diffusion.schedule());

  std::vector<Model*> replicas;
  for (const auto& replica : trained.replicas) replicas.push_back(replica.get());
  SamplerReport report;
  report.is_random = is_random(trained);
  report.facts = facts_of(path, trained, images);
  install_stop_handlers(false);
  SamplerBench bench(images, replicas, *trained.device, options);
  bench.run(std::move(cases), report, bench_fid(arguments, trained, shared_images, replicas));

  write(report, output);
  std::FILE* people = arguments.has("--json") ? stderr : stdout;
  std::fprintf(people, "%s", sampler_report_text(report).c_str());
  for (const auto& [name, text] : bench.operator_tables())
    std::fprintf(people, "\n%s: %s", name.c_str(), text.c_str());
  if (arguments.has("--json")) std::puts(sampler_report_json(report).c_str());
  return report.is_complete ? 0 : static_cast<int>(ExitCode::kStopped);
}

}  // namespace lockstep
