#include "train/step/memory_advice.h"
#include "core/text_lines.h"

#include <algorithm>

#include <fmt/format.h>

namespace lockstep {
namespace {

constexpr double kUsable =
    0.92;  // the rest is the driver's, the libraries' and lost between blocks

std::string gigabytes(int64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

int64_t fixed_bytes(const MemoryUse& use) {
  int64_t sum = 0;
  for (const auto& [name, bytes] : use.fixed) sum += bytes;
  return sum;
}

}  // namespace

int64_t micro_batch_that_fits(const MemoryUse& use) {
  const double room =
      kUsable * static_cast<double>(use.total_bytes) - static_cast<double>(fixed_bytes(use));
  // What failed needed more than the device has; how much more is unknown, so count with all of it.
  const double needed =
      static_cast<double>(std::max(use.peak_bytes, use.total_bytes) - fixed_bytes(use));
  const double a_row = needed / static_cast<double>(use.micro_batch);
  for (int64_t rows = use.micro_batch - 1; rows >= 1; --rows)
    if (use.rows_of_slot % rows == 0 && a_row * static_cast<double>(rows) <= room) return rows;
  return 0;
}

EnvironmentError out_of_memory_error(const MemoryUse& use, const std::string& what) {
  std::vector<std::pair<std::string, int64_t>> parts = use.fixed;
  const int64_t activations = std::max<int64_t>(0, use.peak_bytes - fixed_bytes(use));
  parts.push_back({fmt::format("activations of {} rows", use.micro_batch), activations});
  std::sort(parts.begin(), parts.end(),
            [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string list;
  for (const auto& [name, bytes] : parts)
    if (bytes > 0) list += (list.empty() ? "" : ", ") + name + " " + gigabytes(bytes);
  const int64_t rows = micro_batch_that_fits(use);
  const std::string help =
      rows > 0 ? fmt::format("set train.micro_batch={} (same result, less memory at once)", rows)
               : "not even one row fits beside the weights: use a smaller model, or "
                 "precision.compute=bf16";
  return EnvironmentError(fmt::format("out of memory on a device of {}: {}. LibTorch says: {}",
                                      gigabytes(use.total_bytes), list, first_line(what)),
                          help);
}

}  // namespace lockstep
