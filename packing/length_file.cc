#include "packing/length_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "core/errors.h"
#include "core/files.h"
#include "data/parallel_for.h"

namespace lockstep {
namespace {

constexpr size_t kLargestFile = size_t{64} << 30;
constexpr size_t kLongestShown = 60;  // characters of a wrong line in a message

// Lines of one part of the text, and the first wrong one.
struct LinePart {
  std::vector<int32_t> lengths;
  int64_t lines = 0;  // before the wrong one
  std::optional<std::string> fact;
  std::string_view wrong;
};

std::optional<std::string> fault_of(std::string_view line, int64_t capacity, int32_t& length) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  const bool whole = end == line.data() + line.size() && !line.empty();
  if (!whole || (error != std::errc() && error != std::errc::result_out_of_range))
    return line.empty() ? "an empty line" : "not a whole number";
  if (error == std::errc() && number < 1) return fmt::format("a length of {}", number);
  if (error != std::errc() || number > capacity)
    return fmt::format("a length of {}, and a row has {} tokens", line.substr(0, 24), capacity);
  length = static_cast<int32_t>(number);
  return std::nullopt;
}

LinePart parse_part(std::string_view text, int64_t capacity) {
  LinePart part;
  part.lengths.reserve(text.size() / 4);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    int32_t length = 0;
    if ((part.fact = fault_of(line, capacity, length))) {
      part.wrong = line;
      return part;
    }
    part.lengths.push_back(length);
    ++part.lines;
  }
  return part;
}

}  // namespace

std::vector<int32_t> parse_length_lines(std::string_view text, const fs::path& path,
                                        int64_t capacity, int threads) {
  const auto parts = std::clamp<int64_t>(static_cast<int64_t>(text.size() >> 20), 1, threads);
  // Parts end after a line's end.
  std::vector<size_t> edges{0};
  for (int64_t part = 1; part < parts; ++part) {
    const size_t found = text.find('\n', std::max(edges.back(), text.size() * part / parts));
    edges.push_back(found == std::string_view::npos ? text.size() : found + 1);
  }
  edges.push_back(text.size());
  std::vector<LinePart> found(parts);
  parallel_for(0, parts, threads, [&](int64_t part) {
    found[part] = parse_part(text.substr(edges[part], edges[part + 1] - edges[part]), capacity);
  });
  std::vector<int32_t> lengths;
  int64_t lines = 0;
  for (LinePart& part : found) {
    lines += part.lines;
    if (part.fact)
      throw DataError(*part.fact,
                      "give one whole number a line, from 1 to the capacity; longer documents are "
                      "split or cut before",
                      {path.string(), static_cast<int>(lines + 1), 1,
                       std::string(part.wrong.substr(0, kLongestShown))});
    if (lengths.empty())
      lengths = std::move(part.lengths);
    else
      lengths.insert(lengths.end(), part.lengths.begin(), part.lengths.end());
  }
  return lengths;
}

std::vector<int32_t> read_lengths(const fs::path& path, int64_t capacity, int threads) {
  const std::string content = read_file(path, kLargestFile);
  std::vector<int32_t> lengths = path.extension() == ".npy"
                                     ? parse_npy_lengths(content, path, capacity, threads)
                                     : parse_length_lines(content, path, capacity, threads);
  if (lengths.empty())
    throw DataError("there are no lengths", "give one whole number a line", {path.string()});
  return lengths;
}

}  // namespace lockstep
