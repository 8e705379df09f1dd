// The kinds of tasks and of evaluations (design.md 2, "Kinds").
#pragma once

#include "core/config/kinds.h"
#include "tasks/task.h"

namespace lockstep {

using TaskTable = Table<Task>;

// The built-in tasks:
//   sudoku           masked diffusion, or the seed's objective (tasks/sudoku/sudoku_task.h)
//   sudoku2vec       digit embeddings for the seed's network (tasks/sudoku_seed/sudoku2vec_task.h)
//   image_diffusion  Gaussian diffusion of pictures (tasks/images/image_diffusion_task.h)
// Plug-ins add rows to the returned table before the config is read.
TaskTable task_kinds();

// The flags of `lockstep sample` of all built-in tasks: what its command line may hold.
std::vector<SampleFlag> all_sample_flags();

// The evaluations of all tasks, as the `evaluate` list of a config names them; a task makes its
// own (Task::evaluation) and refuses those of other tasks.
KindList evaluation_kinds();

}  // namespace lockstep
