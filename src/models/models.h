// The kinds of networks, one table per use (design.md 2, "Kinds").
#pragma once

#include <cstdint>

#include "core/kinds.h"
#include "models/masked_grid_model.h"

namespace lockstep {

// Networks of `task: {kind: sudoku, objective: masked}`, made from a seed.
//   sudoku_net  digit-equivariant recurrent network (models/sudoku_net.h)
using MaskedGridModelTable = Table<MaskedGridModel, uint64_t>;
const MaskedGridModelTable& masked_grid_models();

}  // namespace lockstep
