// From a network to the predictions that decoders ask for.
#pragma once

#include "models/masked_grid_model.h"
#include "tasks/sudoku/sudoku_decode.h"

namespace lockstep {

// Softmax of the model's logits, without gradients. `model` must outlive the result.
SudokuPredict predict_with(MaskedGridModel& model);

// The model as what this task trains. Throws InternalError for a model of another task.
MaskedGridModel& as_masked_grid(Model& model);

}  // namespace lockstep
