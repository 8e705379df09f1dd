#include "models/models.h"

#include "kernels/cuda_parts.h"
#include "models/sudoku/seed_conv.h"
#include "models/sudoku/sudoku_net.h"
#include "models/unet/class_unet.h"
#include "models/unet/unet.h"

namespace lockstep {

const SudokuModelTable& sudoku_models() {
  static const SudokuModelTable table = [] {
    SudokuModelTable rows("model");
    rows.add<SudokuNetOptions>(
        "sudoku_net",
        "recurrent network over (row, column, digit) with row, column, box and cell sums",
        [](const SudokuNetOptions& options, uint64_t seed) {
          return std::make_unique<SudokuNet>(options, seed);
        });
    rows.add<SeedConvOptions>(
        "seed_conv", "residual convolutions with a position and a value head, for objective seed",
        [](const SeedConvOptions& options, uint64_t seed) {
          return std::make_unique<SeedConv>(options, seed);
        });
    return rows;
  }();
  return table;
}

const DenoiserTable& denoisers() {
  static const DenoiserTable table = [] {
    DenoiserTable rows("model");
    rows.add<UnetOptions>(
        "unet", "UNet with linear and full attention, tensor names of denoising-diffusion-pytorch",
        make_unet);
    rows.add<ClassUnetOptions>("class_unet", "class-conditional UNet for classifier-free guidance",
                               make_class_unet);
    return rows;
  }();
  return table;
}

void open_model_kernels() { kernels::cuda_parts(); }

}  // namespace lockstep
