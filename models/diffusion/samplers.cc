#include "models/diffusion/samplers.h"

namespace lockstep {

const SamplerTable& sampler_kinds() {
  static const SamplerTable table = [] {
    SamplerTable rows("sampler");
    rows.add<DdpmOptions>("ddpm", "every timestep, with the posterior's noise", make_ddpm);
    rows.add<DdimOptions>("ddim", "fewer timesteps, deterministic with eta 0", make_ddim);
    rows.add<DpmppOptions>(
        "dpmpp_2m", "DPM-Solver++, second order: good pictures in about 20 passes", make_dpmpp_2m);
    return rows;
  }();
  return table;
}

}  // namespace lockstep
