#include "packing/packers.h"

#include <fmt/format.h>

#include <limits>

#include "core/config/config_node.h"
#include "core/errors.h"

namespace lockstep {

const std::vector<Packer>& packers() {
  static const std::vector<Packer> table{
      {"best_fit_decreasing", "longest first, into the fullest row with room",
       pack_best_fit_decreasing},
      {"first_fit", "in order, into the oldest row with room", pack_first_fit},
      {"next_fit", "in order, into the last row only", pack_next_fit},
      {"none", "one document a row", pack_none},
  };
  return table;
}

const Packer& find_packer(const std::string& name) {
  std::vector<std::string> names;
  for (const Packer& packer : packers()) {
    if (name == packer.name) return packer;
    names.emplace_back(packer.name);
  }
  const std::string nearest = nearest_word(name, names);
  throw ConfigError("there is no packer '" + name + "'",
                    (nearest.empty() ? "" : "did you mean '" + nearest + "'? ") +
                        fmt::format("there are {}", fmt::join(names, ", ")));
}

PackPlan make_plan(const Packer& packer, std::span<const int32_t> lengths, const PackLimits& limits,
                   int threads) {
  if (limits.capacity < 1 || limits.capacity > std::numeric_limits<int32_t>::max())
    throw ConfigError(fmt::format("a row of {} tokens", limits.capacity),
                      "give a capacity from 1 to 2147483647");
  if (limits.max_documents < 0)
    throw ConfigError(fmt::format("{} documents a row", limits.max_documents));
  if (lengths.size() > std::numeric_limits<uint32_t>::max())
    throw DataError(fmt::format("{} documents are more than one plan holds", lengths.size()),
                    "pack at most 4294967295 at a time");
  for (size_t i = 0; i < lengths.size(); ++i)
    if (lengths[i] < 1 || lengths[i] > limits.capacity)
      throw DataError(
          fmt::format("document {} has {} tokens, and a row {}", i, lengths[i], limits.capacity),
          "pack lengths from 1 to the capacity");
  return packer.pack(lengths, limits, threads);
}

int64_t lower_bound_of_rows(std::span<const int32_t> lengths, int64_t capacity) {
  int64_t tokens = 0, large = 0;
  for (const int64_t length : lengths) {
    tokens += length;
    large += 2 * length > capacity;
  }
  return std::max(tokens / capacity + (tokens % capacity != 0), large);
}

}  // namespace lockstep
