// Runs an evaluation on all ranks: chunks by index, merged in order, so that scores do not depend
// on the number of ranks or threads (design rule 12).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/config/run_words.h"
#include "ddp/communicator.h"
#include "models/model.h"
#include "tasks/task.h"

namespace lockstep {

struct EvaluationResult {
  bool given_up = false;                // all ranks: news.stop said so; then there is nothing else
  Scores scores;                        // rank 0 only
  std::vector<double> sums;             // rank 0 only, of all chunks
  std::vector<EvaluationChunk> chunks;  // rank 0 only, in chunk order: their tensors
};

// How others hear of a running evaluation, and end it. Each may be empty.
struct EvaluationNews {
  // This rank works, or waits for ranks that do. One call at a time, from several threads.
  std::function<void()> alive;
  // After each piece of this rank's work: `done` of `total`; `stage` is "" or "reference". One at a
  // time.
  std::function<void(const std::string& stage, int64_t done, int64_t total)> progress;
  // Asked a few times a second on the calling thread: true gives up the evaluation on all ranks.
  std::function<bool()> stop;
};

// Collective. What evaluation.reference() wants comes first. Rank r of n computes the chunks
// [⌊rC/n⌋, ⌊(r+1)C/n⌋), one thread per replica. Sums are added by Tree over chunks, in double, as
// soon as both halves of a node are there: a rank holds about log2(chunks) of them at a time,
// however large they are. Sums that a device computed are added up there and fetched at the end.
// `compute` is precision.compute. No rank waits for another's work with a deadline
// (train/evaluate/in_touch.h).
EvaluationResult evaluate_on_ranks(Evaluation& evaluation, const std::vector<Model*>& replicas,
                                   Compute compute, Communicator& communicator,
                                   const EvaluationNews& news = {});

}  // namespace lockstep
