#include "models/models.h"

#include "models/sudoku_net.h"

namespace lockstep {

const MaskedGridModelTable& masked_grid_models() {
  static const MaskedGridModelTable table = [] {
    MaskedGridModelTable rows("model");
    rows.add<SudokuNetOptions>(
        "sudoku_net", "recurrent network over (row, column, digit) with row, column, box and cell sums",
        [](const SudokuNetOptions& options, uint64_t seed) { return std::make_unique<SudokuNet>(options, seed); });
    return rows;
  }();
  return table;
}

}  // namespace lockstep
