#include "tasks/tasks.h"

#include "tasks/sudoku_evaluations.h"
#include "tasks/sudoku_task.h"

namespace lockstep {

TaskTable task_kinds() {
  TaskTable table("task");
  table.add<SudokuTaskOptions>("sudoku", "masked diffusion over the digits of Sudoku grids",
                               [](const SudokuTaskOptions& options) { return make_sudoku_task(options); });
  return table;
}

KindList evaluation_kinds() { return sudoku_evaluations(); }

}  // namespace lockstep
