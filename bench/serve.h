// What the benchmark programs share: one thread, errors as exit codes, and the modes --until,
// --rounds and --serve.
#pragma once

#include <cstdio>
#include <iostream>
#include <string>

#include <ATen/Parallel.h>

#include "bench/clocks.h"
#include "bench/flags.h"
#include "core/freed_memory.h"

namespace lockstep {

// main(): run(flags) on one thread; an Error is printed and gives its code.
template <class Run>
int bench_main(int argc, char** argv, Run&& run) {
  keep_freed_memory();
  at::set_num_threads(1);
  try {
    return run(BenchFlags(argc, argv));
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.message().c_str());
    return static_cast<int>(error.code());
  }
}

// --rounds N (otherwise 5): rounds(N) once; --serve: for each number that comes on stdin. rounds
// returns a line of JSON.
template <class Rounds>
int rounds_or_serve(const BenchFlags& flags, Rounds&& rounds) {
  const auto say = [&](int64_t count) {
    std::puts(rounds(count).c_str());
    std::fflush(stdout);
  };
  if (!flags.has("serve")) {
    say(flags.number("rounds", 5));
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);) say(BenchFlags::whole_number(line));
  return 0;
}

// The modes of a training step: step(n) for n = 0, 1, … gives the loss. --until N: time to step N;
// else one step that is not counted, then rounds. `more()`: further members of the line of JSON,
// each behind ", ".
template <class Step, class More>
int run_steps(const BenchFlags& flags, Step&& step, More&& more) {
  int64_t number = 0;
  if (flags.has("until")) {
    double loss = 0;
    for (const int64_t last = flags.number("until", 0); number < last;) loss = step(number++);
    std::printf("{\"steps\": %ld, \"cpu\": %.6f, \"loss\": %f}\n", static_cast<long>(number),
                cpu_seconds(), loss);
    return 0;
  }
  step(number++);
  return rounds_or_serve(flags, [&](int64_t steps) {
    const StepSeconds seconds = timed_steps(steps, [&](int64_t) { return step(number++); });
    return "{" + seconds.text() + more() + "}";
  });
}

}  // namespace lockstep
