// Digit embeddings for the seed's network, trained by themselves.
//
// One cell of a solved grid is masked and its digit's vector is to be guessed from the other 80:
// easy, since the digit that is there only eight times is the missing one. What is kept is
// `embed.weight`, for task.model.embedding of a seed_conv or `init: {from: RUN, map:
// [embed=embedding_layer]}`.
#pragma once

#include <memory>

#include "core/config/kinds.h"
#include "models/sudoku/sudoku2vec.h"
#include "tasks/task.h"

namespace lockstep {

struct Sudoku2VecTaskOptions {
  Sudoku2VecOptions model;
  int64_t targets = 3;

  void fields(FieldVisitor& visit) {
    visit("model", model, "the network");
    visit("targets", targets, Range{1, 81}, "masked cells a grid and use, one at a time");
  }
};

// Loss and accuracy on held-out grids with cells fixed by sample id. Scores: validation_loss (mean
// of max(0, 1 - cosine)), validation_accuracy (nearest of the ten vectors is the right one).
struct Sudoku2VecValidationOptions {
  int64_t every_steps = 0;
  int64_t samples = 1024;
  int64_t batch = 64;

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("samples", samples, at_least(1), "held-out grids, at most");
    visit("batch", batch, Range{1, 65536}, "grids a forward pass");
  }
};

struct Sudoku2VecEvaluationInput {
  const Dataset* validation;  // may be null
  StepContext context;
  int64_t targets;
};
using Sudoku2VecEvaluationTable = Table<Evaluation, const Sudoku2VecEvaluationInput&>;
// Row: sudoku2vec_validation.
const Sudoku2VecEvaluationTable& sudoku2vec_evaluations();

// The datasets have `solution` u8 [81]. Loss::sum is the sum over masked cells of max(0, 1 -
// cosine), Loss::count their number. forward(): `cells` [B,81] with the digit at `target` [B] in
// place → `similarity` [B,10] with the ten digit vectors, and `loss`.
std::unique_ptr<Task> make_sudoku2vec_task(const Sudoku2VecTaskOptions& options);

}  // namespace lockstep
