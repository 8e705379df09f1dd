// Which samples of a conversion are held out for validation (`validation=0.1`).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

// The shards of held-out samples are called validation-00000.h5 ….
inline constexpr const char* kHeldOutPrefix = "validation";
inline constexpr const char* kHeldOutDoc =
    "share of the samples that goes to validation-00000.h5 … instead; the same input and share "
    "give the same samples";

// Decides for sample `index` of the input, counted from 0, by Philox: the choice depends on neither
// threads nor on what other samples hold.
bool is_held_out(int64_t index, double share);

// The prefixes of a conversion's shards. Throws ConfigError if `prefix` is not a plain file name,
// or is the held-out one although a share is held out.
std::vector<std::string> split_prefixes(const std::string& prefix, double share);

// Throws DataError naming `source` if a side of the split is empty.
void check_split(int64_t kept, int64_t held_out, double share, const std::string& source);

}  // namespace lockstep
