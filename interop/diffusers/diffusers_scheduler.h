// A sampler of ours as a scheduler of diffusers: scheduler/scheduler_config.json.
//
// The betas of the training are given as they are (`trained_betas`), so no schedule of diffusers'
// own takes part.
#pragma once

#include <string>
#include <vector>

#include "core/config/fields.h"
#include "models/diffusion/diffusion_schedule.h"

namespace lockstep {

struct DiffusersScheduler {
  std::string class_name;  // "DDIMScheduler" …
  std::string config;      // JSON text
  int64_t steps = 0;
  double eta = 0;
  bool rederive_noise = false;     // DDIM: noise from the clipped picture (lucidrains' way)
  std::vector<std::string> notes;  // what differs, for people
};

// Throws ConfigError for options that no scheduler of diffusers has: clip_x0 of dpmpp_2m.
DiffusersScheduler diffusers_scheduler(const Choice& sampler, const DiffusionOptions& diffusion,
                                       bool learned_variance);

}  // namespace lockstep
