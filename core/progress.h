// A progress bar on a terminal, plain lines elsewhere.
//
// Terminal: `train 120/5000 [02:11<1:31:02, 14.2 step/s] loss 0.701`, redrawn in place at
// most 10 times a second. Not a terminal: one line every `line_seconds` and at the end.
// Writes to stderr. One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace lockstep {

class Progress {
 public:
  // `enabled` false: does nothing (ranks other than 0). `start` counts as already done.
  Progress(std::string what, int64_t total, std::string unit, bool enabled = true,
           int64_t start = 0, double line_seconds = 10);
  ~Progress();
  // `done` so far out of `total`; `note` is shown behind the rate.
  void update(int64_t done, const std::string& note = "");
  // A line above the bar (evaluation results …).
  void print(const std::string& line);
  void finish(const std::string& note = "");

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
