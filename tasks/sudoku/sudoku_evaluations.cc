#include "tasks/sudoku/sudoku_evaluations.h"

namespace lockstep {

const SudokuEvaluationTable& sudoku_evaluations() {
  static const SudokuEvaluationTable table = [] {
    SudokuEvaluationTable rows("evaluation");
    rows.add<ValidationLossOptions>("validation_loss", "loss on held-out samples",
                                    make_sudoku_validation_loss);
    rows.add<SudokuSolveOptions>("solve", "share of held-out puzzles solved, by level",
                                 make_sudoku_solve);
    rows.add<SudokuSamplesOptions>("samples", "validity of grids drawn from nothing",
                                   make_sudoku_samples);
    return rows;
  }();
  return table;
}

}  // namespace lockstep
