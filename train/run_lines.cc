// The seed's lines are compared byte for byte with what its scripts print, so their formats repeat
// Python's (docs/sweeps.md); only LockstepLines may change freely.
#include "train/run_lines.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

class LockstepLines final : public RunLines {
 public:
  bool has_bar() const override { return true; }

  std::vector<std::string> evaluation(int64_t step,
                                      const std::map<std::string, double>& scores) override {
    if (scores.empty()) return {};  // it only drew
    std::string text = fmt::format("step {}:", step);
    for (const auto& [name, value] : scores) text += fmt::format("  {} {:.4f}", name, value);
    return {text};
  }
};

// The first of these scores that there is.
double score(const std::map<std::string, double>& scores,
             std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const auto found = scores.find(name); found != scores.end()) return found->second;
  return kNone;
}

double validation_accuracy(const std::map<std::string, double>& scores) {
  return score(scores, {"validation_accuracy", "accuracy"});
}

class SeedLines : public RunLines {
 public:
  explicit SeedLines(const RunLinesSetup& setup) : setup_(setup) {}
  bool has_bar() const override { return false; }

 protected:
  // Epochs that are complete after `step` steps. The last step of the run completes the last one,
  // even if the run ends in its middle.
  int64_t epochs_after(int64_t step) const {
    if (setup_.train_samples <= 0) return 0;
    return step >= setup_.steps ? total_epochs()
                                : step * setup_.global_batch / setup_.train_samples;
  }
  // A run of E epochs ends with the batch that completes them, which may reach into the next one.
  int64_t total_epochs() const {
    if (setup_.epochs) return static_cast<int64_t>(std::ceil(*setup_.epochs));
    return ceiling(setup_.steps * setup_.global_batch, setup_.train_samples);
  }
  static int64_t ceiling(int64_t a, int64_t b) { return b > 0 ? (a + b - 1) / b : 0; }

  const RunLinesSetup setup_;
};

// The lines of the seed's trainer.
class SeedTrainerLines final : public SeedLines {
 public:
  using SeedLines::SeedLines;

  std::vector<std::string> start() override {
    return {
        fmt::format("Using mixed precision: {}", setup_.mixed_precision ? "True" : "False"),
        fmt::format("Dataset size: {}, Batch size: {}, Batches per epoch: {}", setup_.train_samples,
                    setup_.global_batch, ceiling(setup_.train_samples, setup_.global_batch))};
  }

  std::vector<std::string> step(const StepResult& result) override {
    std::vector<std::string> lines = RunLines::step(result);
    loss_ += result.loss;
    accuracy_ += result.accuracy.value_or(kNone);
    ++steps_;
    const int64_t before = epochs_after(result.step - 1), done = epochs_after(result.step);
    if (done == before) return lines;
    // A batch larger than what is left may complete several epochs: each has its line.
    for (int64_t epoch = before + 1; epoch <= done; ++epoch) {
      if (epoch % setup_.every_epochs != 0 && epoch != 1 && epoch != total_epochs()) continue;
      lines.push_back(fmt::format("Epoch {:4d}/{} | Loss: {:.4f} | Acc: {:.4f} | LR: {:.6f}", epoch,
                                  total_epochs(), loss_ / steps_, accuracy_ / steps_,
                                  result.next_lr));
    }
    loss_ = accuracy_ = steps_ = 0;
    return lines;
  }

  std::vector<std::string> evaluation(int64_t,
                                      const std::map<std::string, double>& scores) override {
    std::vector<std::string> lines;
    if (scores.count("validation_loss") > 0) {
      lines.push_back(fmt::format("Validation Loss: {:.4f} | Validation Acc: {:.4f}",
                                  scores.at("validation_loss"), validation_accuracy(scores)));
    }
    // The seed drew one grid, and let masked cells pass; of many, "True" means all.
    const double valid = score(scores, {"validity_seed", "validity"});
    if (!std::isnan(valid))
      lines.push_back(fmt::format("Is valid: {}", valid >= 1 ? "True" : "False"));
    return lines;
  }

  std::vector<std::string> checkpoint(const std::string& path) override {
    return {"✓ Checkpoint saved: " + path};
  }

 private:
  double loss_ = 0, accuracy_ = 0, steps_ = 0;  // sums of the current epoch, of this attempt
};

// The lines of the seed's sweep.
class SeedSweepLines final : public SeedLines {
 public:
  using SeedLines::SeedLines;

  std::vector<std::string> step(const StepResult& result) override {
    loss_ = result.loss;
    accuracy_ = result.accuracy.value_or(kNone);
    return RunLines::step(result);
  }

  std::vector<std::string> evaluation(int64_t step,
                                      const std::map<std::string, double>& scores) override {
    if (scores.count("validation_loss") == 0) return {};
    const std::string what = setup_.epochs
                                 ? fmt::format("Epoch {:3d}/{}", epochs_after(step), total_epochs())
                                 : fmt::format("Step {:6d}/{}", step, setup_.steps);
    return {fmt::format(
        "  {} | Train Loss: {:.4f} | Train Acc: {:.4f} | Val Loss: {:.4f} | Val Acc: {:.4f}", what,
        loss_, accuracy_, scores.at("validation_loss"), validation_accuracy(scores))};
  }

 private:
  double loss_ = kNone, accuracy_ = kNone;  // of the last step
};

}  // namespace

std::vector<std::string> RunLines::step(const StepResult& result) {
  if (result.updated) return {};
  if (result.next_loss_scale)
    return {fmt::format("step {}: gradients overflowed, no update; loss scale now {}", result.step,
                        *result.next_loss_scale)};
  return {fmt::format("step {}: gradients were not finite, no update", result.step)};
}

std::vector<std::string> RunLines::checkpoint(const std::string&) { return {}; }

std::unique_ptr<RunLines> make_run_lines(const RunLinesSetup& setup) {
  if (setup.style == "lockstep") return std::make_unique<LockstepLines>();
  if (setup.style == "seed") return std::make_unique<SeedTrainerLines>(setup);
  if (setup.style == "seed_sweep") return std::make_unique<SeedSweepLines>(setup);
  throw ConfigError("unknown log.style '" + setup.style + "'",
                    "styles are lockstep, seed, seed_sweep");
}

}  // namespace lockstep
