// Where a step's time goes on a device: marks between its phases in the compute queue, which nobody
// waits for. They are read when the step's report has come back.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tensor/device.h"
#include "train/phases.h"

namespace lockstep {

// kCopy: the step's inputs come to their place; kExchange: the compute queue waits for other ranks;
// kGraph: a whole step is replayed, of which only the end is seen.
enum class DevicePhase { kCopy, kForward, kBackward, kExchange, kUpdate, kGraph, kEnd };

class DevicePhases {
 public:
  using Marks = std::vector<std::pair<DevicePhase, std::unique_ptr<DeviceMark>>>;

  // `on`: false sets no marks.
  DevicePhases(DeviceQueue& queue, bool on) : queue_(queue), on_(on) {}

  // What the compute queue does from here on counts as `phase`.
  void enter(DevicePhase phase);
  // No times of this step: it is recorded, or runs twice for a comparison.
  void give_up();
  // While one lives no marks are set: around the work of a graph, which is seen as a whole.
  class Silence {
   public:
    explicit Silence(DevicePhases& phases) : phases_(phases) { phases_.silent_ = true; }
    ~Silence() { phases_.silent_ = false; }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;

   private:
    DevicePhases& phases_;
  };
  // Ends the step. Empty if it was given up.
  Marks take();

 private:
  DeviceQueue& queue_;
  const bool on_;
  bool given_up_ = false, silent_ = false;
  Marks marks_;
};

// Of a step whose marks are all reached. Nothing if there are none, or they keep no time.
std::optional<DeviceSeconds> seconds_of(const DevicePhases::Marks& marks);

}  // namespace lockstep
