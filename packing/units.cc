#include "packing/units.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/errors.h"

namespace lockstep {
namespace {

// Where a piece that starts at `begin` ends: after at most `capacity` tokens, outside all spans.
int64_t end_of_piece(int64_t begin, int64_t length, int64_t capacity,
                     const std::vector<Span>& spans) {
  const int64_t end = std::min(length, begin + capacity);
  for (const Span& span : spans)
    if (span.first < end && end < span.second) return std::max(begin, span.first);
  return end;
}

}  // namespace

TooLong too_long_of(const std::string& word) {
  if (word == "split") return TooLong::kSplit;
  if (word == "cut") return TooLong::kCut;
  if (word == "drop") return TooLong::kDrop;
  if (word == "refuse") return TooLong::kRefuse;
  throw ConfigError("packing.too_long is '" + word + "'", "give split, cut, drop or refuse");
}

UnitCounts& UnitCounts::operator+=(const UnitCounts& other) {
  samples += other.samples;
  tokens += other.tokens;
  units += other.units;
  kept += other.kept;
  split_samples += other.split_samples;
  cut_samples += other.cut_samples;
  cut += other.cut;
  dropped_samples += other.dropped_samples;
  dropped += other.dropped;
  return *this;
}

void append_units(const LengthSource& source, int64_t id, int64_t capacity, TooLong too_long,
                  std::vector<Unit>& units, UnitCounts& counts) {
  const int64_t length = source.length(id);
  if (length < 0) throw DataError(fmt::format("sample {} has {} tokens", id, length));
  ++counts.samples;
  counts.tokens += length;
  const auto keep = [&](int64_t begin, int64_t end) {
    units.push_back({id, begin, end});
    ++counts.units;
    counts.kept += end - begin;
  };
  const auto drop = [&] {
    ++counts.dropped_samples;
    counts.dropped += length;
  };
  if (length == 0) return drop();
  if (length <= capacity) return keep(0, length);
  if (too_long == TooLong::kRefuse)
    throw DataError(
        fmt::format("sample {} has {} tokens, and a row {}", id, length, capacity),
        "set packing.too_long to split, cut or drop, or packing.length to what the sample needs");
  if (too_long == TooLong::kDrop) return drop();
  const std::vector<Span> spans = source.unbreakable(id);
  if (too_long == TooLong::kCut) {
    const int64_t end = end_of_piece(0, length, capacity, spans);
    if (end == 0) return drop();
    keep(0, end);
    ++counts.cut_samples;
    counts.cut += length - end;
    return;
  }
  for (int64_t begin = 0; begin < length;) {
    const int64_t end = end_of_piece(begin, length, capacity, spans);
    if (end == begin)
      throw DataError(fmt::format("sample {} has more than {} tokens from {} on that must stay "
                                  "together, and a row has {}",
                                  id, capacity, begin, capacity),
                      "raise packing.length, or set packing.too_long: drop");
    keep(begin, end);
    begin = end;
  }
  ++counts.split_samples;
}

}  // namespace lockstep
