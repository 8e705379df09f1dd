#include "tasks/tasks.h"

#include "tasks/images/image_diffusion_task.h"
#include "tasks/images/image_evaluations.h"
#include "tasks/sudoku/sudoku_evaluations.h"
#include "tasks/sudoku/sudoku_task.h"
#include "tasks/sudoku_seed/seed_evaluations.h"
#include "tasks/sudoku_seed/sudoku2vec_task.h"

namespace lockstep {
TaskTable task_kinds() {
  TaskTable table("task");
  table.add<SudokuTaskOptions>(
      "sudoku", "Sudoku grids: masked diffusion, or the seed's step-by-step objective",
      [](const SudokuTaskOptions& options) { return make_sudoku_task(options); });
  table.add<Sudoku2VecTaskOptions>(
      "sudoku2vec", "digit embeddings by attention, for the seed's network",
      [](const Sudoku2VecTaskOptions& options) { return make_sudoku2vec_task(options); });
  table.add<ImageDiffusionOptions>("image_diffusion", "Gaussian diffusion of pictures",
                                   make_image_diffusion_task);
  return table;
}

std::vector<SampleFlag> all_sample_flags() {
  std::vector<SampleFlag> flags;
  const TaskTable table = task_kinds();
  for (const Kind& row : table.rows())
    for (const SampleFlag& flag : table.make(Choice(table, row.name))->sample_flags()) {
      const auto same = [&](const SampleFlag& known) { return known.name == flag.name; };
      if (std::none_of(flags.begin(), flags.end(), same)) flags.push_back(flag);
    }
  return flags;
}

KindList evaluation_kinds() {
  KindList all("evaluation");
  for (const KindList* rows :
       std::initializer_list<const KindList*>{&sudoku_evaluations(), &seed_evaluations(),
                                              &sudoku2vec_evaluations(), &image_evaluations()})
    all.append(*rows);
  return all;
}

}  // namespace lockstep
