// NumPy's array file, as far as lists of whole numbers need it (numpy.lib.format): magic, version,
// length of the header, a Python dict as text with exactly three keys, then the elements.
#include <fmt/format.h>

#include <atomic>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "core/errors.h"
#include "data/parallel_for.h"
#include "packing/length_file.h"

namespace lockstep {
namespace {

constexpr size_t kLongestHeader = 65536;

struct NpyHeader {
  std::string descr;  // such as "<i8"
  uint64_t elements = 0;
  bool one_dimension = false;
};

// Reads the dict. Each function returns false, or nothing, where the text is something else.
class NpyHeaderText {
 public:
  explicit NpyHeaderText(std::string_view text) : text_(text) {}

  std::optional<NpyHeader> parse() {
    NpyHeader header;
    bool descr = false, order = false, shape = false;
    if (!take('{')) return std::nullopt;
    while (!take('}')) {
      const auto key = quoted();
      if (!key || !take(':')) return std::nullopt;
      bool* seen = *key == "descr"           ? &descr
                   : *key == "fortran_order" ? &order
                   : *key == "shape"         ? &shape
                                             : nullptr;
      if (seen == nullptr || *seen || !value_of(*key, header)) return std::nullopt;
      *seen = true;
      if (!take(',') && !next_is('}')) return std::nullopt;
    }
    skip_space();
    if (!text_.empty() || !descr || !order || !shape) return std::nullopt;
    return header;
  }

 private:
  bool value_of(std::string_view key, NpyHeader& header) {
    if (key == "fortran_order") return word("False") || word("True");
    if (key == "shape") return shape_into(header);
    const auto text = quoted();
    if (text) header.descr = *text;
    return text.has_value();
  }
  // (), (5,), (2, 3) …
  bool shape_into(NpyHeader& header) {
    if (!take('(')) return false;
    int dimensions = 0;
    for (; !take(')'); ++dimensions) {
      skip_space();
      const auto [end, error] =
          std::from_chars(text_.data(), text_.data() + text_.size(), header.elements);
      if (error != std::errc()) return false;
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      if (!take(',') && (dimensions == 0 || !next_is(')'))) return false;
    }
    header.one_dimension = dimensions == 1;
    return true;
  }
  void skip_space() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n'))
      text_.remove_prefix(1);
  }
  bool next_is(char c) {
    skip_space();
    return text_.starts_with(c);
  }
  bool take(char c) {
    if (!next_is(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool word(std::string_view expected) {
    skip_space();
    if (!text_.starts_with(expected)) return false;
    text_.remove_prefix(expected.size());
    return true;
  }
  std::optional<std::string_view> quoted() {
    if (!next_is('\'') && !next_is('"')) return std::nullopt;
    const size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view inside = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return inside;
  }

  std::string_view text_;
};

template <class T>
std::optional<int64_t> element_at(std::string_view data, int64_t index, bool swap) {
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), data.data() + index * sizeof(T), sizeof(T));
  if (swap) std::reverse(bytes.begin(), bytes.end());
  const T value = std::bit_cast<T>(bytes);
  if (std::is_unsigned_v<T> && static_cast<uint64_t>(value) > std::numeric_limits<int64_t>::max())
    return std::nullopt;
  return static_cast<int64_t>(value);
}

using ElementReader = std::optional<int64_t> (*)(std::string_view, int64_t, bool);
struct NpyType {
  const char* name;
  size_t size;
  ElementReader read;
};
constexpr NpyType kNpyTypes[] = {{"i4", 4, element_at<int32_t>},
                                 {"i8", 8, element_at<int64_t>},
                                 {"u2", 2, element_at<uint16_t>},
                                 {"u4", 4, element_at<uint32_t>},
                                 {"u8", 8, element_at<uint64_t>}};

const NpyType* npy_type(const std::string& descr) {
  if (descr.size() == 3 && (descr[0] == '<' || descr[0] == '>'))
    for (const NpyType& type : kNpyTypes)
      if (descr.substr(1) == type.name) return &type;
  return nullptr;
}

// The header of `bytes`, which loses it.
NpyHeader take_npy_header(std::string_view& bytes, const fs::path& path) {
  const auto refuse = [&](const std::string& fact) -> DataError {
    return DataError(fact, "write it with numpy.save", {path.string()});
  };
  if (!bytes.starts_with("\x93NUMPY") || bytes.size() < 10) throw refuse("not a .npy file");
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(bytes[i])); };
  const size_t version = byte(6);
  if (version < 1 || version > 3 || byte(7) != 0)
    throw refuse(fmt::format("version {}.{} of .npy is not known", version, byte(7)));
  const size_t begin = version == 1 ? 10 : 12;
  if (bytes.size() < begin) throw refuse("the file ends inside its header");
  size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  if (length > kLongestHeader || length > bytes.size() - begin)
    throw refuse(fmt::format("a header of {} bytes in a file of {}", length, bytes.size()));
  const auto header = NpyHeaderText(bytes.substr(begin, length)).parse();
  if (!header) throw refuse("the header is no dict of descr, fortran_order and shape");
  bytes.remove_prefix(begin + length);
  return *header;
}

}  // namespace

std::vector<int32_t> parse_npy_lengths(std::string_view bytes, const fs::path& path,
                                       int64_t capacity, int threads) {
  const NpyHeader header = take_npy_header(bytes, path);
  const NpyType* type = npy_type(header.descr);
  if (type == nullptr)
    throw DataError("elements of type '" + header.descr.substr(0, 24) + "'",
                    "save i32, i64, u16, u32 or u64", {path.string()});
  if (!header.one_dimension)
    throw DataError("the array has not one dimension", "save array.reshape(-1)", {path.string()});
  if (bytes.size() % type->size != 0 || header.elements != bytes.size() / type->size)
    throw DataError(fmt::format("{} elements of {} bytes are declared, and {} bytes follow",
                                header.elements, type->size, bytes.size()),
                    "the file is damaged or cut short; write it again", {path.string()});
  const bool swap = (header.descr[0] == '<') != (std::endian::native == std::endian::little);
  const auto size = static_cast<int64_t>(header.elements);
  std::vector<int32_t> lengths(header.elements);
  const int64_t parts = std::clamp<int64_t>(size >> 16, 1, threads);
  std::atomic<int64_t> wrong{size};  // the first one
  parallel_for(0, parts, threads, [&](int64_t part) {
    for (int64_t i = size * part / parts; i < size * (part + 1) / parts; ++i) {
      const auto value = type->read(bytes, i, swap);
      if (!value || *value < 1 || *value > capacity) {
        int64_t first = wrong;
        while (i < first && !wrong.compare_exchange_weak(first, i)) {
        }
        return;
      }
      lengths[i] = static_cast<int32_t>(*value);
    }
  });
  if (wrong < size) {
    const auto value = type->read(bytes, wrong, swap);
    throw DataError(fmt::format("element {} is {}, and a row has {} tokens", wrong.load(),
                                value ? std::to_string(*value) : "above 2^63", capacity),
                    "give lengths from 1 to the capacity", {path.string()});
  }
  return lengths;
}

}  // namespace lockstep
