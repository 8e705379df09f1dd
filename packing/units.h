// Units: what is packed. A unit is a document, or a piece of one that is longer than a row.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

// Tokens [begin, end) of sample `id`.
struct Unit {
  int64_t id = 0, begin = 0, end = 0;
  int64_t length() const { return end - begin; }
  bool operator==(const Unit&) const = default;
};

// Tokens [first, second) that stay together, such as those of a picture.
using Span = std::pair<int64_t, int64_t>;

// What packing asks of a dataset. Any thread.
class LengthSource {
 public:
  virtual ~LengthSource() = default;
  virtual int64_t samples() const = 0;
  virtual int64_t length(int64_t id) const = 0;
  // In order, not overlapping.
  virtual std::vector<Span> unbreakable(int64_t id) const { return {}; }
};

// `packing.too_long`: what becomes of a sample that is longer than a row.
enum class TooLong {
  kSplit,  // pieces of at most a row
  kCut,    // its beginning alone
  kDrop,   // nothing
  kRefuse  // DataError
};
// Throws ConfigError for another word than split, cut, drop, refuse.
TooLong too_long_of(const std::string& word);

// Tokens of the samples read so far: tokens = kept + cut + dropped.
struct UnitCounts {
  int64_t samples = 0, tokens = 0;
  int64_t units = 0, kept = 0;               // units that go into rows, and their tokens
  int64_t split_samples = 0;                 // samples that became several units
  int64_t cut_samples = 0, cut = 0;          // samples that lost their end, and tokens lost so
  int64_t dropped_samples = 0, dropped = 0;  // samples left out whole, empty ones too; their tokens
  UnitCounts& operator+=(const UnitCounts& other);
  bool operator==(const UnitCounts&) const = default;
};

// Appends the units of sample `id` for rows of `capacity` tokens. Pieces and cuts end before a span
// that would be broken. A sample that loses all tokens by `cut` counts as dropped. Throws DataError
// for a span longer than a row (split), a longer sample (refuse), a negative length.
void append_units(const LengthSource& source, int64_t id, int64_t capacity, TooLong too_long,
                  std::vector<Unit>& units, UnitCounts& counts);

}  // namespace lockstep
