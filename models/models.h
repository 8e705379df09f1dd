// The kinds of networks, one table per use (design.md 2, "Kinds").
#pragma once

#include <cstdint>

#include "core/config/kinds.h"
#include "models/denoiser.h"

namespace lockstep {

// Networks of `task.kind: sudoku`, made from a seed. The task refuses one that its objective cannot
// use.
//   sudoku_net  digit-equivariant recurrent network, objective masked (models/sudoku/sudoku_net.h)
//   seed_conv   convolutions with a position and a value head, objective seed
//               (models/sudoku/seed_conv.h)
using SudokuModelTable = Table<Model, uint64_t>;
const SudokuModelTable& sudoku_models();

// Networks of `task: {kind: image_diffusion}`, made from a seed.
//   unet        denoising-diffusion-pytorch's UNet (models/unet/unet.h)
//   class_unet  its class-conditional one (models/unet/class_unet.h)
using DenoiserTable = Table<Denoiser, uint64_t>;
const DenoiserTable& denoisers();

// Looks up the kernels of the open CUDA plug-in. Throws EnvironmentError if it is of another
// version.
void open_model_kernels();

}  // namespace lockstep
