// Times what is queued on a GPU, or what the CPU twins of kernels do: for benchmarks of device
// code.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bench/clocks.h"

namespace lockstep {

// `--device cuda|cpu --case NAME --rounds N --json`.
struct GpuBenchOptions {
  bool cuda = true, json = false;
  std::string only;
  int rounds = 20;

  GpuBenchOptions(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string flag = argv[i];
      const auto value = [&] { return i + 1 < argc ? std::string(argv[++i]) : std::string(); };
      if (flag == "--device")
        cuda = value() != "cpu";
      else if (flag == "--case")
        only = value();
      else if (flag == "--rounds")
        rounds = std::max(1, std::atoi(value().c_str()));
      else if (flag == "--json")
        json = true;
      else
        std::fprintf(stderr, "usage: %s [--device cuda|cpu] [--case NAME] [--rounds N] [--json]\n",
                     argv[0]),
            std::exit(2);
    }
    int devices = 0;
    if (cuda && (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0)) {
      std::fprintf(stderr, "error: no GPU is visible\nhelp: --device cpu runs the CPU twins\n");
      std::exit(3);
    }
  }
  bool wants(const std::string& name) const { return only.empty() || only == name; }
};

// Memory where the kernels run, filled with bytes of value 0 or with made-up floats between −1
// and 1.
class BenchMemory {
 public:
  BenchMemory(bool cuda, int64_t bytes) : cuda_(cuda), bytes_(static_cast<size_t>(bytes)) {
    if (!cuda_)
      pointer_ = std::aligned_alloc(256, (bytes_ + 255) / 256 * 256);
    else if (cudaMalloc(&pointer_, bytes_) != cudaSuccess)
      pointer_ = nullptr;
    if (pointer_ == nullptr)
      std::fprintf(stderr, "error: no memory for %zu bytes\n", bytes_), std::exit(3);
    cuda_ ? void(cudaMemset(pointer_, 0, bytes_)) : void(std::memset(pointer_, 0, bytes_));
  }
  BenchMemory(const BenchMemory&) = delete;
  ~BenchMemory() { cuda_ ? void(cudaFree(pointer_)) : std::free(pointer_); }
  void* get() const { return pointer_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(pointer_);
  }
  // Repeats `values` as far as they go.
  template <class T>
  void fill(const std::vector<T>& values) {
    const size_t piece = values.size() * sizeof(T);
    for (size_t at = 0; at < bytes_; at += piece) {
      const size_t count = std::min(piece, bytes_ - at);
      char* to = static_cast<char*>(pointer_) + at;
      cuda_ ? void(cudaMemcpy(to, values.data(), count, cudaMemcpyHostToDevice))
            : void(std::memcpy(to, values.data(), count));
    }
  }

 private:
  bool cuda_;
  void* pointer_ = nullptr;
  size_t bytes_;
};

// Median seconds of `rounds` runs after three that are not counted.
inline double median_seconds(bool cuda, int rounds, const std::function<void()>& run) {
  std::vector<double> seconds;
  cudaEvent_t begin{}, end{};
  if (cuda) cudaEventCreate(&begin), cudaEventCreate(&end);
  for (int i = -3; i < rounds; ++i) {
    const double start = wall_seconds();
    if (cuda) cudaEventRecord(begin);
    run();
    float milliseconds = 0;
    if (cuda)
      cudaEventRecord(end), cudaEventSynchronize(end),
          cudaEventElapsedTime(&milliseconds, begin, end);
    if (i >= 0) seconds.push_back(cuda ? 1e-3 * milliseconds : wall_seconds() - start);
  }
  if (cuda) cudaEventDestroy(begin), cudaEventDestroy(end);
  std::nth_element(seconds.begin(), seconds.begin() + rounds / 2, seconds.end());
  return seconds[static_cast<size_t>(rounds / 2)];
}

// Bytes a second of a copy within the memory (read and written bytes both count): what kernels are
// held against.
inline double copy_bandwidth(bool cuda, int rounds) {
  constexpr int64_t kBytes = int64_t{1} << 28;
  BenchMemory a(cuda, kBytes), b(cuda, kBytes);
  const double seconds = median_seconds(cuda, rounds, [&] {
    cuda ? void(cudaMemcpyAsync(a.get(), b.get(), kBytes, cudaMemcpyDeviceToDevice))
         : void(std::memcpy(a.get(), b.get(), kBytes));
  });
  return 2.0 * kBytes / seconds;
}

inline void print_result(const GpuBenchOptions& options, const std::string& name,
                         const std::string& what, double seconds, double bytes, double bandwidth) {
  const double share = bytes / bandwidth / seconds;
  if (options.json)
    std::printf(
        "{\"case\": \"%s\", \"what\": \"%s\", \"device\": \"%s\", \"microseconds\": %.2f, "
        "\"gigabytes_per_second\": %.1f, "
        "\"bound_microseconds\": %.2f, \"share_of_copy_bandwidth\": %.3f}\n",
        name.c_str(), what.c_str(), options.cuda ? "cuda" : "cpu", 1e6 * seconds,
        1e-9 * bytes / seconds, 1e6 * bytes / bandwidth, share);
  else
    std::printf("%-28s %-34s %10.1f us %8.1f GB/s  bound %10.1f us  %5.1f %%\n", name.c_str(),
                what.c_str(), 1e6 * seconds, 1e-9 * bytes / seconds, 1e6 * bytes / bandwidth,
                100 * share);
  std::fflush(stdout);
}

}  // namespace lockstep
