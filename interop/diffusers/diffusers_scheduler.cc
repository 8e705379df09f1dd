#include "interop/diffusers/diffusers_scheduler.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "interop/exports.h"
#include "models/diffusion/samplers.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

std::string prediction_type(const std::string& objective) {
  if (objective == "pred_noise") return "epsilon";
  return objective == "pred_x0" ? "sample" : "v_prediction";
}

// What all three schedulers have.
Json common(const DiffusionOptions& diffusion) {
  Json out;
  out["num_train_timesteps"] = diffusion.timesteps;
  out["trained_betas"] = DiffusionSchedule(diffusion).betas;
  // Without effect beside trained_betas, but for Karras' timesteps, which diffusers truncates under
  // this name.
  out["beta_schedule"] = diffusion.beta_schedule == "cosine" ? "squaredcos_cap_v2" : "linear";
  out["prediction_type"] = prediction_type(diffusion.objective);
  out["steps_offset"] = 0;
  return out;
}

void set_ddpm(DiffusersScheduler& out, Json& config, const DdpmOptions& options,
              const DiffusionOptions& diffusion, bool learned) {
  out.class_name = "DDPMScheduler";
  out.steps = diffusion.timesteps;
  config["variance_type"] = learned ? "learned_range" : "fixed_small";
  config["clip_sample"] = options.clip_x0;
  config["clip_sample_range"] = 1.0;
  config["timestep_spacing"] = "leading";
}

void set_ddim(DiffusersScheduler& out, Json& config, const DdimOptions& options,
              const DiffusionOptions& diffusion) {
  const bool lucidrains = options.spacing == "lucidrains";
  out.class_name = "DDIMScheduler";
  out.steps = options.steps;
  out.eta = options.eta;
  out.rederive_noise = lucidrains && options.clip_x0;
  config["clip_sample"] = options.clip_x0;
  config["clip_sample_range"] = 1.0;
  config["set_alpha_to_one"] = lucidrains || options.final_alpha == "one";
  // lucidrains' grid is diffusers' trailing one where the steps divide the timesteps.
  config["timestep_spacing"] = lucidrains ? "trailing" : options.spacing;
  if (lucidrains && diffusion.timesteps % options.steps != 0)
    out.notes.push_back(
        fmt::format("sampler.steps {} does not divide {} timesteps: lucidrains' times are written "
                    "as trailing ones, "
                    "and some differ by one",
                    options.steps, diffusion.timesteps));
}

void set_dpmpp(DiffusersScheduler& out, Json& config, const DpmppOptions& options) {
  if (options.clip_x0)
    throw ConfigError("sampler.clip_x0 is true, and diffusers' DPM-Solver++ has no such clipping",
                      "set sampler.clip_x0=false");
  out.class_name = "DPMSolverMultistepScheduler";
  out.steps = options.steps;
  const bool sde = options.solver == "sde";
  config["solver_order"] = 2;
  config["algorithm_type"] = sde ? "sde-dpmsolver++" : "dpmsolver++";
  config["solver_type"] = sde ? "midpoint" : options.solver;
  config["lower_order_final"] = true;
  config["use_karras_sigmas"] = options.karras;
  config["final_sigmas_type"] = options.final_sigma;
  config["timestep_spacing"] = options.spacing;
  config["thresholding"] = false;
}

}  // namespace

DiffusersScheduler diffusers_scheduler(const Choice& sampler, const DiffusionOptions& diffusion,
                                       bool learned_variance) {
  DiffusersScheduler out;
  Json config = common(diffusion);
  if (sampler.kind == "ddpm") {
    set_ddpm(out, config, sampler.as<DdpmOptions>(), diffusion, learned_variance);
  } else if (sampler.kind == "ddim") {
    set_ddim(out, config, sampler.as<DdimOptions>(), diffusion);
  } else if (sampler.kind == "dpmpp_2m") {
    set_dpmpp(out, config, sampler.as<DpmppOptions>());
  } else {
    throw ConfigError("diffusers has no scheduler for sampler.kind " + sampler.kind,
                      "use ddpm, ddim or dpmpp_2m");
  }
  Json named;
  named["_class_name"] = out.class_name;
  named["_diffusers_version"] = kDiffusersVersion;
  named.update(config);
  out.config = named.dump(2) + "\n";
  return out;
}

}  // namespace lockstep
