// The Python files of an exported diffusers folder: interop/diffusers/, compiled in.
#pragma once

namespace lockstep {

extern const char* const kDiffusersUnet;      // unet/lockstep_unet.py
extern const char* const kDiffusersPipeline;  // pipeline.py
extern const char* const kDiffusersReadme;    // README.md

}  // namespace lockstep
