// Runs an evaluation on all ranks: chunks by index, merged in order, so that scores do not depend
// on the number of ranks or threads (design rule 12).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ddp/communicator.h"
#include "models/model.h"
#include "tasks/task.h"

namespace lockstep {

struct EvaluationResult {
  Scores scores;                       // rank 0 only
  std::vector<double> sums;            // rank 0 only, of all chunks
  std::vector<EvaluationChunk> chunks; // rank 0 only, in chunk order: their tensors
};

// Collective. Rank r of n computes the chunks [⌊rC/n⌋, ⌊(r+1)C/n⌋), one thread per replica. Sums are
// added by Tree over chunks, in double, as soon as both halves of a node are there: a rank holds about
// log2(chunks) of them at a time, however large they are. `compute` is precision.compute. `alive` is called after
// each chunk, from any of the threads, one at a time: evaluations may be long.
EvaluationResult evaluate_on_ranks(const Evaluation& evaluation, const std::vector<Model*>& replicas,
                                   const std::string& compute, Communicator& communicator,
                                   const std::function<void()>& alive = [] {});

}  // namespace lockstep
