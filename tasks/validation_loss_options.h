// Options of the `validation_loss` evaluation, which several tasks have.
#pragma once

#include "core/config/fields.h"

namespace lockstep {

// sudoku: nats per hidden cell on held-out grids; sample id hides 1 + id mod 81 cells, always the
// same (a multiple of 81 covers all numbers). image_diffusion: the training loss on held-out
// pictures, each with one timestep and noise that stay the same.
struct ValidationLossOptions {
  int64_t every_steps = 0;
  int64_t samples = 972;
  int64_t batch = 27;

  void fields(FieldVisitor& visit) {
    visit("every_steps", every_steps, at_least(0), "steps between evaluations, 0 = at the end");
    visit("samples", samples, at_least(1), "held-out samples, at most");
    visit("batch", batch, Range{1, 4096}, "samples a forward pass");
  }
};

}  // namespace lockstep
