// Evaluations: scores and pictures of a model, shared out over ranks (design.md 3, rule 12).
//
// An evaluation is cut into chunks. Each chunk is a pure function of weights and its number, so any
// rank may compute it; sums are merged in the order of chunks, whatever the number of ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"

namespace lockstep {

// Names and values: "validation_loss", "solve_rate.easy" …
using Scores = std::map<std::string, double>;

// What an evaluation says of a score before it is computed.
struct ScoreInfo {
  std::string name;
  bool smaller_is_better = false;
};

// The names of `scores`; those in `smaller`, whole or up to their first dot, are better when small.
std::vector<ScoreInfo> declare(const Scores& scores, const std::vector<std::string>& smaller = {});

// One piece of an evaluation, computed by whichever rank owns it; merged in order of chunks.
struct EvaluationChunk {
  std::vector<double> sums;  // added up by Tree over chunks, in double, as chunks are done
  std::vector<at::Tensor>
      tensors;  // few and small: what pictures are drawn from (gathered on rank 0's host)
  // In place of sums, of a chunk that a device computed: f64 [n] there, added up there. All chunks
  // of a rank or none.
  at::Tensor device_sums;
};

// An evaluation that can be shared out over ranks: chunk i is a pure function of (weights, i).
// Made per evaluation run by Task::evaluation; runs under no-grad on one replica per thread.
class Evaluation {
 public:
  virtual ~Evaluation() = default;
  // The scores that scores() will give, known before anything is computed: checkpoint.keep_best is
  // checked against them, and reports rank by them. Empty for an evaluation that only draws.
  virtual std::vector<ScoreInfo> declared_scores() const = 0;
  virtual int64_t num_chunks() const = 0;
  // Before the first chunk: where the models lie, so that what else computes can be brought there.
  // One thread.
  virtual void compute_on(at::Device device) {}
  // Any thread. A chunk that takes seconds calls piece_done() now and then, pieces() times in all.
  virtual EvaluationChunk chunk(Model& model, int64_t index) const = 0;
  virtual int64_t pieces() const { return 0; }
  // On rank 0, with the sums of all chunks. May take long: no other rank waits with a deadline.
  virtual Scores scores(const std::vector<double>& sums) const = 0;
  // The same with the tensors of all chunks, in chunk order (their sums are merged and gone).
  virtual Scores scores(const std::vector<double>& sums,
                        const std::vector<EvaluationChunk>& chunks) const {
    return scores(sums);
  }
  // Draws samples/step-N.png if this evaluation has something to show; false otherwise.
  virtual bool draw(const std::vector<EvaluationChunk>& chunks, const std::string& png_path) const {
    return false;
  }

  // What the scores depend on besides the weights, stored beside them: names and values.
  virtual std::map<std::string, std::string> record() const { return {}; }
  // What people should know before they believe the scores; said once, before training.
  virtual std::vector<std::string> notes() const { return {}; }

  // What must be computed first, on all ranks as well, unless rank 0 has it from an earlier
  // evaluation: statistics of reference pictures. Null: nothing.
  virtual Evaluation* reference() { return nullptr; }
  // Rank 0: looks for what is kept; true if nothing is left to do. May read large files.
  virtual bool find_reference() { return false; }
  // Rank 0: what reference() gave.
  virtual void take_reference(const std::vector<double>& sums,
                              const std::vector<EvaluationChunk>& chunks) {}

  // `heard` is called by piece_done(), from any thread; it may throw to give up the chunk.
  void on_piece(std::function<void()> heard) { heard_ = std::move(heard); }

 protected:
  void piece_done() const {
    if (heard_) heard_();
  }

 private:
  std::function<void()> heard_;
};

// What evaluations are made from, besides the model. Outlives them.
struct EvaluationData {
  EvaluationData(const Dataset* validation, std::function<const Dataset&()> train = {})
      : validation(validation), train(std::move(train)) {}
  const Dataset* validation;  // data.validation; null if the config names none
  std::function<const Dataset&()>
      train;  // data.train, opened when it is asked for; empty if there is none
};

}  // namespace lockstep
