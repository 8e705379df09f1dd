// Files of document lengths, for `lockstep pack`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace lockstep {

// The lengths of a text file with one whole number a line, or of a one-dimensional .npy file (by
// its ending) of i32, i64, u16, u32 or u64 in either byte order. Throws DataError naming line or
// element for anything else, and for a length outside 1 … capacity.
std::vector<int32_t> read_lengths(const std::filesystem::path& path, int64_t capacity, int threads);

// The text form, and the .npy form, of a file's content; `path` is for messages.
std::vector<int32_t> parse_length_lines(std::string_view text, const std::filesystem::path& path,
                                        int64_t capacity, int threads);
std::vector<int32_t> parse_npy_lengths(std::string_view bytes, const std::filesystem::path& path,
                                       int64_t capacity, int threads);

}  // namespace lockstep
