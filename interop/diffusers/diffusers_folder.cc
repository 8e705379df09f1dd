// A folder that diffusers loads: DiffusionPipeline.from_pretrained(FOLDER, trust_remote_code=True).
//
// diffusers has no network like denoising-diffusion-pytorch's, so the folder brings the network's
// and the pipeline's code (interop/diffusers). Weights keep their names.
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/config/config_node.h"
#include "core/errors.h"
#include "core/files.h"
#include "interop/diffusers/diffusers_files.h"
#include "interop/diffusers/diffusers_scheduler.h"
#include "interop/exports.h"
#include "models/unet/unet.h"
#include "tasks/images/image_diffusion.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

// unet/config.json: the options of task.model by their names.
std::string unet_config(const ImageDiffusionOptions& images) {
  Choice model = images.model;
  const Json options =
      Json::parse(print_json([&](FieldVisitor& visit) { visit("model", model); })).at("model");
  Json out;
  out["_class_name"] = "LockstepUnet";
  out["_diffusers_version"] = kDiffusersVersion;
  out["sample_size"] = images.image_size;
  out.update(options);
  return out.dump(2) + "\n";
}

std::string model_index(const ImageDiffusionOptions& images, const DiffusersScheduler& scheduler) {
  Json out;
  out["_class_name"] = {"pipeline", "LockstepPipeline"};
  out["_diffusers_version"] = kDiffusersVersion;
  out["unet"] = {"lockstep_unet", "LockstepUnet"};
  out["scheduler"] = {"diffusers", scheduler.class_name};
  out["num_inference_steps"] = scheduler.steps;
  out["eta"] = scheduler.eta;
  out["rederive_noise"] = scheduler.rederive_noise;
  out["guidance_scale"] = images.guidance.scale;
  out["guidance_rescale"] = images.guidance.rescale;
  out["remove_parallel"] = images.guidance.remove_parallel;
  out["keep_parallel"] = images.guidance.keep_parallel;
  return out.dump(2) + "\n";
}

bool learns_variance(const ImageDiffusionOptions& images) {
  if (images.model.kind == "unet") return images.model.as<UnetOptions>().learned_variance;
  if (images.model.kind == "class_unet")
    return images.model.as<ClassUnetOptions>().learned_variance;
  throw ConfigError(
      "diffusers export knows the models unet and class_unet, not " + images.model.kind,
      "--format safetensors works for every model");
}

// Only what an export has made may be replaced: a folder with model_index.json and nothing of the
// user's.
void check_replaceable(const fs::path& folder) {
  if (!fs::exists(folder) || (fs::is_directory(folder) &&
                              (fs::is_empty(folder) || fs::exists(folder / "model_index.json"))))
    return;
  throw ConfigError("--force replaces an exported folder, and this is none: " + folder.string(),
                    "name another --output");
}

// Fills a new folder beside `folder` and renames it, so that the folder appears whole or not at
// all.
void write_folder_atomic(const fs::path& folder, const std::function<void(const fs::path&)>& fill) {
  const fs::path target = (fs::absolute(folder) / "").parent_path();
  make_folders(target.parent_path());
  const std::string name = target.filename().string();
  const fs::path making = target.parent_path() / fmt::format(".tmp-{}-{}", ::getpid(), name);
  const fs::path old = target.parent_path() / fmt::format(".old-{}-{}", ::getpid(), name);
  std::error_code ignored;
  fs::remove_all(making, ignored);
  try {
    fill(making);
    if (fs::exists(target)) fs::rename(target, old);
    fs::rename(making, target);
  } catch (const fs::filesystem_error& error) {
    if (fs::exists(old, ignored) && !fs::exists(target, ignored)) fs::rename(old, target, ignored);
    fs::remove_all(making, ignored);
    throw EnvironmentError(
        fmt::format("cannot write '{}': {}", target.string(), error.code().message()));
  } catch (...) {
    fs::remove_all(making, ignored);
    throw;
  }
  fs::remove_all(old, ignored);
  sync_path(target.parent_path());
}

}  // namespace

Exported export_diffusers(const ExportSource& source, const ExportRequest& request) {
  if (source.task->kind != "image_diffusion")
    throw ConfigError(
        "diffusers export knows the task image_diffusion, not the task " + source.task->kind,
        "--format safetensors works for every task");
  const auto& images = source.task->as<ImageDiffusionOptions>();
  const DiffusersScheduler scheduler =
      diffusers_scheduler(*source.sampler, images.diffusion, learns_variance(images));
  ImageDiffusion(images).check(denoisers().make(images.model, 0)->facts());
  check_replaceable(request.output);
  Metadata metadata = export_metadata(source);
  metadata["format"] = "pt";
  write_folder_atomic(request.output, [&](const fs::path& folder) {
    make_folders(folder / "unet");
    make_folders(folder / "scheduler");
    save_safetensors(folder / "unet/diffusion_pytorch_model.safetensors", source.weights, metadata);
    sync_path(folder / "unet/diffusion_pytorch_model.safetensors");
    write_file_atomic(folder / "unet/config.json", unet_config(images));
    write_file_atomic(folder / "unet/lockstep_unet.py", kDiffusersUnet);
    write_file_atomic(folder / "scheduler/scheduler_config.json", scheduler.config);
    write_file_atomic(folder / "pipeline.py", kDiffusersPipeline);
    write_file_atomic(folder / "README.md", kDiffusersReadme);
    write_file_atomic(folder / "model_index.json", model_index(images, scheduler));
  });
  Exported out;
  out.facts = {weights_fact(source),
               fmt::format("{} with the run's {} betas, {} steps", scheduler.class_name,
                           images.diffusion.timesteps, scheduler.steps)};
  out.facts.insert(out.facts.end(), scheduler.notes.begin(), scheduler.notes.end());
  out.facts.push_back(
      "load it with DiffusionPipeline.from_pretrained(FOLDER, trust_remote_code=True): its Python "
      "files are code");
  return out;
}

}  // namespace lockstep
