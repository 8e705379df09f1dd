// Progress of an evaluation for people: a bar on a terminal, a line every ten seconds elsewhere.
#pragma once

#include <memory>
#include <string>

#include "core/progress.h"
#include "train/evaluate/evaluate.h"

namespace lockstep {

class EvaluationProgress {
 public:
  // Shows nothing unless `enabled` (rank 0). `what` names it: "fid", then "fid reference" for what
  // comes first.
  EvaluationProgress(std::string what, bool enabled) : what_(std::move(what)), enabled_(enabled) {}
  // With `progress` set to this object, which must stay where it is meanwhile. Pieces are those of
  // rank 0.
  EvaluationNews news();
  // Takes the bar away without a last line.
  void remove() { bar_.reset(); }

 private:
  std::string what_, stage_;
  bool enabled_;
  std::unique_ptr<Progress> bar_;
};

}  // namespace lockstep
