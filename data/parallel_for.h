// Spreads independent items over threads.
#pragma once

#include <cstdint>
#include <functional>

namespace lockstep {

// All cores this process may use if `threads` is 0, else `threads`.
int num_threads(int64_t threads);

// Runs body(i) once for each i in [begin, end), in any order, on up to `threads` threads.
// `on_progress(done)` is called from the calling thread about ten times a second. The first
// exception stops the rest and is thrown here.
void parallel_for(int64_t begin, int64_t end, int threads, const std::function<void(int64_t)>& body,
                  const std::function<void(int64_t done)>& on_progress = nullptr);

}  // namespace lockstep
