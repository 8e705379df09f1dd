// Decides for each training step whether it is computed operation by operation, recorded as a
// graph, or replayed (`step.graph`). It knows the names of shapes and the outcome of each attempt,
// and nothing of devices.
//
// A shape of batch first runs kWarmUp steps eagerly, so that libraries choose their algorithms and
// allocate their workspaces outside of the recording; then it is recorded, and from then on
// replayed. The first kChecked replays are compared with eager steps from the same state. If a step
// cannot be recorded or differs, `auto` goes on eagerly for good, with a note that names the
// operation, and `on` ends the run.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/config/run_words.h"

namespace lockstep {

enum class StepAction {
  kEager,   // operation by operation
  kRecord,  // record, then replay what was recorded: that is the step
  kReplay,
};

struct GraphMode {
  GraphUse wanted = GraphUse::kAuto;
  // Why this run cannot record at all ("gradients travel through the host"); "" if it can.
  std::string obstacle;
};

class GraphPlanner {
 public:
  static constexpr int64_t kWarmUp = 3;
  static constexpr int64_t kChecked = 3;
  static constexpr int64_t kMostGraphs = 32;  // further shapes stay eager: each graph keeps memory

  // Throws ConfigError if graphs are wanted (`on`) where there is an obstacle.
  explicit GraphPlanner(const GraphMode& mode);

  // What the next step, with a batch of this shape, is to do.
  StepAction next(const std::string& shape) const;
  // True if the replay of this step is to be compared with an eager step.
  bool checks(const std::string& shape) const;

  // The outcome of the step. Under `on` could_not_record() throws EnvironmentError, and so does
  // checked() if the difference is too large.
  void ran_eagerly(const std::string& shape);
  void recorded(const std::string& shape);
  void could_not_record(const std::string& shape, const std::string& operation,
                        const std::string& reason);
  // `difference`: the largest between eager and replayed values, relative to their size.
  void checked(double difference, double allowed);

  // True once nothing will be recorded any more.
  bool off() const { return off_; }
  // A line for the log about the last change of plan; "" once taken.
  std::string take_note();

 private:
  struct Shape {
    int64_t eager_steps = 0;
    bool has_graph = false;
  };
  void fall_back(const std::string& why);

  const bool insists_;
  bool off_ = false;
  int64_t checks_left_ = kChecked;
  int64_t graphs_ = 0;
  double largest_difference_ = 0;
  std::map<std::string, Shape> shapes_;
  std::string note_;
};

}  // namespace lockstep
