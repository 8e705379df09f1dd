// `lockstep sample` for pictures.
#include <algorithm>
#include <filesystem>
#include <mutex>
#include <optional>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "core/progress.h"
#include "eval/image_grid.h"
#include "models/diffusion/sampler_update.h"
#include "tasks/flag_values.h"
#include "tasks/images/image_commands.h"
#include "tasks/images/image_drawing.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

constexpr int64_t kDefaultBatch = 16;

enum class Form { kTensors, kGrid, kFolder };

Form form_of(const std::string& output) {
  if (output.empty())
    throw ConfigError("sample needs --output",
                      "a .safetensors or .png file, or a folder for single pictures");
  const std::string extension = std::filesystem::path(output).extension().string();
  if (extension == ".safetensors") return Form::kTensors;
  if (extension == ".png") return Form::kGrid;
  if (extension.empty()) return Form::kFolder;
  throw ConfigError("--output ends in " + extension,
                    "use .safetensors, .png, or the name of a folder",
                    on_command_line("--output " + output));
}

int64_t batch_of(const SampleRequest& request) {
  return whole_flag(request, "--batch", 1, 999'999, kDefaultBatch);
}

// Counts network passes of several threads on one bar.
class Passes {
 public:
  Passes(int64_t total) : bar_("sample", total, "pass") {}
  void add() {
    const std::lock_guard lock(mutex_);
    bar_.update(++done_);
  }
  void finish() { bar_.finish(); }

 private:
  std::mutex mutex_;
  Progress bar_;
  int64_t done_ = 0;
};

struct Drawn {
  at::Tensor x;           // [B, C, H, W]
  at::Tensor trajectory;  // [B, K+1, C, H, W], undefined unless asked for
};

// Start and step noise as the user's file gives them.
struct GivenNoise {
  at::Tensor start, steps;  // [B, C, H, W]; [K, B, C, H, W] or undefined
  at::Tensor classes;       // i64 [B]; undefined for networks without classes
};

GivenNoise read_noise(const std::string& path, const DenoiserFacts& facts,
                      const SamplerPlan& plan) {
  return with_context("reading " + path, [&] {
    const NamedTensors inputs = load_safetensors(path);
    refuse_unknown(inputs, facts.num_classes > 0
                               ? std::vector<std::string>{"noise", "step_noise", "classes"}
                               : std::vector<std::string>{"noise", "step_noise"});
    GivenNoise given{expect_float(inputs, "noise", {-1, facts.channels, -1, -1}), {}, {}};
    const at::Tensor& start = given.start;
    if (start.numel() == 0 || start.size(2) % facts.divisor != 0 ||
        start.size(3) % facts.divisor != 0)
      throw DataError(fmt::format(
          "the input tensor 'noise' has shape {}, and its height and width must be multiples of {}",
          c10::str(start.sizes()), facts.divisor));
    if (facts.num_classes > 0) given.classes = classes_input(inputs, start.size(0), facts);
    std::vector<int64_t> shape = start.sizes().vec();
    shape.insert(shape.begin(), static_cast<int64_t>(plan.steps.size()));
    if (find_tensor(inputs, "step_noise") != nullptr)
      given.steps = expect_float(inputs, "step_noise", shape);
    const bool needed = std::any_of(plan.steps.begin(), plan.steps.end(), needs_noise);
    if (needed && !given.steps.defined())
      expect_float(inputs, "step_noise", shape);  // says what is missing
    return given;
  });
}

Drawn draw_given(const ImageDiffusion& images, const GivenNoise& given, const SamplerPlan& plan,
                 const SampleRequest& request, Passes& passes) {
  const int64_t rows = given.start.size(0), batch = batch_of(request);
  const auto steps = static_cast<int64_t>(plan.steps.size());
  Drawn drawn{at::empty_like(given.start), {}};
  if (request.has("--trajectory")) {
    std::vector<int64_t> shape = given.start.sizes().vec();
    shape.insert(shape.begin() + 1, steps + 1);
    drawn.trajectory = at::empty(shape, at::kFloat);
    drawn.trajectory.select(1, 0).copy_(given.start);
  }
  DeviceSamplers recorded;
  request.for_each((rows + batch - 1) / batch, [&](Model& model, int64_t chunk) {
    const int64_t first = chunk * batch, count = std::min(batch, rows - first);
    SamplerRun run;
    run.plan = &plan;
    run.guidance = &images.options.guidance;
    if (given.classes.defined()) run.classes = given.classes.narrow(0, first, count);
    run.noise = [&](int64_t k) { return given.steps[k].narrow(0, first, count).contiguous(); };
    if (drawn.trajectory.defined())
      run.look = [&](int64_t k, const at::Tensor& x) {
        drawn.trajectory.select(1, k + 1).narrow(0, first, count).copy_(x);
      };
    run.after_step = [&] { passes.add(); };
    run.recorded = &recorded;
    drawn.x.narrow(0, first, count)
        .copy_(run_sampler(as_denoiser(model), given.start.narrow(0, first, count), run));
  });
  return drawn;
}

// Memory for all pictures, before the first is drawn.
at::Tensor room_for(int64_t count, int64_t channels, int64_t size) {
  try {
    return at::empty({count, channels, size, size}, at::kFloat);
  } catch (const c10::Error&) {
    throw EnvironmentError(fmt::format("{} pictures of {} x {} x {} floats do not fit into memory",
                                       count, channels, size, size),
                           "draw them in several calls with another --seed each",
                           on_command_line("--count " + std::to_string(count)));
  }
}

Drawn draw_numbered(const ImageDiffusion& images, const PictureDrawer& drawer,
                    const DenoiserFacts& facts, const SampleRequest& request, Passes& passes) {
  const int64_t batch = std::min(batch_of(request), request.count),
                size = images.options.image_size;
  Drawn drawn{room_for(request.count, facts.channels, size), {}};
  request.for_each((request.count + batch - 1) / batch, [&](Model& model, int64_t chunk) {
    const int64_t first = chunk * batch, count = std::min(batch, request.count - first);
    drawn.x.narrow(0, first, count).copy_(drawer.draw(model, first, count, batch, [&] {
      passes.add();
    }));
  });
  return drawn;
}

// Throws EnvironmentError if a file's folder is not there, before hours of drawing.
void check_folder_of(const std::string& output, Form form) {
  const fs::path folder = fs::path(output).parent_path();
  std::error_code code;
  if (form != Form::kFolder && !folder.empty() && !fs::is_directory(folder, code))
    throw EnvironmentError("there is no folder '" + folder.string() + "'",
                           "make it first, or write elsewhere",
                           on_command_line("--output " + output));
}

// Throws ConfigError for flags that do not go together or with this network.
void check_flags(const SampleRequest& request, Form form, const DenoiserFacts& facts) {
  if (request.has("--trajectory") && (form != Form::kTensors || !request.has("--noise")))
    throw ConfigError("--trajectory needs --noise and an --output that ends in .safetensors", "",
                      on_command_line("--trajectory"));
  for (const char* flag : {"--time", "--mix"})
    if (request.has(flag) && !request.has("--interpolate"))
      throw ConfigError(std::string(flag) + " needs --interpolate", "", on_command_line(flag));
  for (const char* flag : {"--classes", "--guidance"})
    if (request.has(flag) && facts.num_classes == 0)
      throw ConfigError(std::string(flag) + " needs a network with classes, and this one has none",
                        "train one with task.model={kind: class_unet, num_classes: N}",
                        on_command_line(flag));
  if (request.has("--interpolate") && request.has("--noise"))
    throw ConfigError("--interpolate and --noise exclude each other",
                      "the pair's own noise goes into its file: noise1, noise2",
                      on_command_line("--noise"));
  if (request.has("--classes") && (request.has("--noise") || request.has("--interpolate")))
    throw ConfigError("--classes is for pictures drawn from nothing",
                      request.has("--noise")
                          ? "put a tensor `classes` i64 [B] into the file of --noise"
                          : "leave it out with --interpolate",
                      on_command_line("--classes"));
  if (request.count < 1)
    throw ConfigError("--count needs at least one sample", "", on_command_line("--count"));
}

void write(const Drawn& drawn, Form form, const std::string& output) {
  if (form == Form::kTensors) {
    NamedTensors tensors = {{"images", (drawn.x + 1) * 0.5}};
    if (drawn.trajectory.defined()) tensors.push_back({"trajectory", drawn.trajectory});
    write_atomic(output, [&](const fs::path& path) { save_safetensors(path, tensors); });
    return;
  }
  const at::Tensor pictures = signal_to_pictures(drawn.x);
  if (form == Form::kGrid) {
    write_atomic(output,
                 [&](const fs::path& path) { write_png(path.string(), image_grid(pictures)); });
    return;
  }
  make_folders(output);
  for (int64_t i = 0; i < pictures.size(0); ++i)
    write_png((fs::path(output) / fmt::format("{:06}.png", i)).string(), single_image(pictures[i]));
}

}  // namespace

std::vector<SampleFlag> image_sample_flags() {
  return {{"--noise", true}, {"--trajectory", false}, {"--batch", true},   {"--interpolate", true},
          {"--time", true},  {"--mix", true},         {"--classes", true}, {"--guidance", true}};
}

void sample_images(const ImageDiffusion& configured, Denoiser& model,
                   const SampleRequest& request) {
  const Form form = form_of(request.output);
  const DenoiserFacts& facts = model.facts();
  check_flags(request, form, facts);
  check_folder_of(request.output, form);
  configured.diffusion.check(facts);
  ImageDiffusion images = configured;
  images.options.guidance.scale =
      number_flag(request, "--guidance", 0, 1e6, images.options.guidance.scale);
  Drawn drawn;
  if (request.has("--interpolate")) {
    std::optional<Passes> passes;
    request.for_each(1, [&](Model& replica, int64_t) {
      drawn.x = interpolate_images(
          images, as_denoiser(replica), request, [&](int64_t total) { passes.emplace(total); },
          [&] { passes->add(); });
    });
    passes->finish();
  } else if (request.has("--noise")) {
    const auto plan = sampler_kinds().make(request.sampler, images.diffusion.schedule());
    const GivenNoise given = read_noise(request.value("--noise"), facts, *plan);
    const int64_t batch = batch_of(request);
    Passes passes((given.start.size(0) + batch - 1) / batch *
                  static_cast<int64_t>(plan->steps.size()));
    drawn = draw_given(images, given, *plan, request, passes);
    passes.finish();
  } else {
    images.check(facts);
    PictureDrawer drawer(images, request.sampler, request.seed);
    drawer.set_classes(whole_list_flag(request, "--classes", -1, facts.num_classes - 1));
    const int64_t batch = std::min(batch_of(request), request.count);
    Passes passes((request.count + batch - 1) / batch * drawer.steps());
    drawn = draw_numbered(images, drawer, facts, request, passes);
    passes.finish();
  }
  write(drawn, form, request.output);
  log_info(fmt::format("{} pictures in {}", drawn.x.size(0), request.output));
}

}  // namespace lockstep
