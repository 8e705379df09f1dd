// What the benchmark programs measure with.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

namespace lockstep {

// CPU time of this process: other work on the machine disturbs it less than the wall clock.
inline double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

inline double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds of some steps.
struct StepSeconds {
  std::string wall, cpu;  // separated by commas
  double loss = 0;        // of the last one
  // Members of a JSON object.
  std::string text() const {
    return "\"wall\": [" + wall + "], \"cpu\": [" + cpu + "], \"loss\": " + std::to_string(loss);
  }
};

// Runs step(1) … step(steps); step gives the loss.
template <class Step>
StepSeconds timed_steps(int64_t steps, Step&& step) {
  StepSeconds out;
  for (int64_t number = 1; number <= steps; ++number) {
    const double wall_start = wall_seconds(), cpu_start = cpu_seconds();
    out.loss = step(number);
    const char* comma = number == 1 ? "" : ", ";
    out.wall += comma + std::to_string(wall_seconds() - wall_start);
    out.cpu += comma + std::to_string(cpu_seconds() - cpu_start);
  }
  return out;
}

// Runs step(0), which is not counted, then step(1) … step(steps). Prints one line of JSON: "wall"
// and "cpu", the seconds of each counted step, and the last "loss".
template <class Step>
void print_step_seconds(int64_t steps, Step&& step) {
  step(int64_t{0});
  std::printf("{%s}\n", timed_steps(steps, step).text().c_str());
}

}  // namespace lockstep
