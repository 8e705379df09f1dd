// Options of the Sudoku network (sudoku_net.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config/fields.h"

namespace lockstep {

struct SudokuNetOptions {
  int64_t channels = 16;
  int64_t hidden = 24;
  int64_t blocks = 2;
  int64_t iterations = 16;
  std::vector<int64_t> loss_depths = {4, 8, 12, 16};
  std::string implementation = "auto";

  void fields(FieldVisitor& visit) {
    visit("channels", channels, Range{1, 256}, "features per cell and digit");
    visit("hidden", hidden, Range{1, 1024}, "width inside a block");
    visit("blocks", blocks, Range{1, 64}, "blocks with weights of their own, used in turn");
    visit("iterations", iterations, Range{1, 64}, "how many blocks are applied");
    visit("loss_depths", loss_depths, Range{1, 64},
          "the training loss is the mean over these iterations");
    visit("implementation", implementation, OneOf{{"auto", "fused", "reference"}},
          "auto: fused where there is a kernel");
  }
};

}  // namespace lockstep
