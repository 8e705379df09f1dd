// Measures where a step's time goes on a device. Marks are put into the compute queue between the
// phases; nobody waits for them. They are read when the step's report has come back.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tensor/device.h"
#include "train/phases.h"

namespace lockstep {

// kCopy: the inputs are copied to their place. kExchange: the compute queue waits for other ranks.
// kGraph: a whole step is replayed; its phases cannot be seen.
enum class DevicePhase { kCopy, kForward, kBackward, kExchange, kUpdate, kGraph, kEnd };

class DevicePhases {
 public:
  using Marks = std::vector<std::pair<DevicePhase, std::unique_ptr<DeviceMark>>>;

  // `on`: false sets no marks.
  DevicePhases(DeviceQueue& queue, bool on) : queue_(queue), on_(on) {}

  // What the compute queue does from here on counts as `phase`.
  void enter(DevicePhase phase);
  // Drops this step's times: it is being recorded, or runs twice for a comparison.
  void give_up();
  // While one lives, no marks are set. For the work inside a graph.
  class Silence {
   public:
    explicit Silence(DevicePhases& phases) : phases_(phases) { phases_.silent_ = true; }
    ~Silence() { phases_.silent_ = false; }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;

   private:
    DevicePhases& phases_;
  };
  // Ends the step and returns its marks; none if it was given up.
  Marks take();

 private:
  DeviceQueue& queue_;
  const bool on_;
  bool given_up_ = false, silent_ = false;
  Marks marks_;
};

// The times between the marks of a finished step. Nothing if there are no marks, or they keep no
// time.
std::optional<DeviceSeconds> seconds_of(const DevicePhases::Marks& marks);

}  // namespace lockstep
