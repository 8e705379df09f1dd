#include "train/evaluate/evaluation_progress.h"

namespace lockstep {

EvaluationNews EvaluationProgress::news() {
  EvaluationNews news;
  if (!enabled_) return news;
  news.progress = [this](const std::string& stage, int64_t done, int64_t total) {
    if (!bar_ || stage != stage_) {
      stage_ = stage;
      bar_.reset();
      bar_ =
          std::make_unique<Progress>(stage.empty() ? what_ : what_ + " " + stage, total, "piece");
    }
    bar_->update(done);
  };
  return news;
}

}  // namespace lockstep
