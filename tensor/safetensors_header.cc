#include "tensor/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/json_text.h"
#include "core/text_lines.h"
#include "tensor/dtypes.h"

namespace lockstep {
namespace {

// One entry as written, before its numbers are checked against each other.
struct RawEntry {
  std::string name, dtype;
  std::vector<uint64_t> shape, offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// Reads the header event by event. A document tree would keep the last of two equal keys in
// silence, and two readers that keep different ones see different files.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}

  std::vector<RawEntry> entries;
  Metadata metadata;

  bool start_object(std::size_t) override {
    if (state_ == State::kStart) {
      state_ = State::kNames;
    } else if (state_ == State::kNameGiven) {
      state_ = name_ == "__metadata__" ? State::kMetadata : State::kEntry;
      keys_.clear();
    } else {
      fail("has an object where none belongs");
    }
    return true;
  }

  bool end_object() override {
    if (state_ == State::kEntry) {
      const RawEntry& entry = entries.back();
      if (!entry.has_dtype || !entry.has_shape || !entry.has_offsets)
        fail("lacks dtype, shape or data_offsets");
    }
    state_ = state_ == State::kNames ? State::kEnd : State::kNames;
    return true;
  }

  bool key(std::string& key) override {
    if (state_ == State::kNames) {
      name_ = key;
      if (!names_.insert(key).second) fail("is listed twice");
      if (names_.size() > kMaxTensors)
        fail(fmt::format("is one of more than {} tensors", kMaxTensors));
      if (key != "__metadata__") entries.emplace_back().name = key;
      state_ = State::kNameGiven;
      return true;
    }
    if (!keys_.insert(key).second) fail("has the key '" + key + "' twice");
    key_ = key;
    if (state_ == State::kEntry && key != "dtype" && key != "shape" && key != "data_offsets")
      fail("has the unknown key '" + key + "'");
    return true;
  }

  bool string(std::string& value) override {
    if (state_ == State::kMetadata) {
      metadata[key_] = value;
      return true;
    }
    if (state_ != State::kEntry || key_ != "dtype") fail("has text where none belongs");
    entries.back().dtype = value;
    return entries.back().has_dtype = true;
  }

  bool start_array(std::size_t) override {
    if (state_ != State::kEntry || key_ == "dtype") fail("has a list where none belongs");
    state_ = State::kNumbers;
    return true;
  }
  bool end_array() override {
    (key_ == "shape" ? entries.back().has_shape : entries.back().has_offsets) = true;
    state_ = State::kEntry;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (state_ != State::kNumbers) fail("has a number where none belongs");
    std::vector<uint64_t>& numbers =
        key_ == "shape" ? entries.back().shape : entries.back().offsets;
    if (numbers.size() >= kMaxDims)
      fail(fmt::format("has more than {} numbers in '{}'", kMaxDims, key_));
    numbers.push_back(value);
    return true;
  }
  bool number_integer(number_integer_t value) override {
    fail(fmt::format("has the negative number {} in '{}'", value, key_));
  }
  bool number_float(number_float_t, const std::string& text) override {
    fail(fmt::format("has {} in '{}', not a whole number below 2^64", text.substr(0, 40), key_));
  }
  bool null() override { fail("has null where none belongs"); }
  bool boolean(bool) override { fail("has true or false where none belongs"); }
  bool binary(binary_t&) override { fail("has binary data"); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    throw DataError(
        fmt::format("'{}': the header is no valid JSON at its byte {}", file_, position));
  }

 private:
  enum class State { kStart, kNames, kNameGiven, kEntry, kNumbers, kMetadata, kEnd };

  [[noreturn]] void fail(const std::string& what) const {
    if (state_ == State::kStart || state_ == State::kEnd)
      throw DataError(fmt::format("'{}': the header {}", file_, what));
    throw DataError(fmt::format("'{}': tensor '{}' {}", file_, name_, what));
  }

  const std::string& file_;
  State state_ = State::kStart;
  std::string name_, key_;
  std::unordered_set<std::string> names_, keys_;
};

// Checks one entry alone: dtype, dims, product, offsets.
TensorInfo check_entry(const RawEntry& raw, size_t data_bytes, const std::string& file) {
  const auto fail = [&](const std::string& what) {
    throw DataError(fmt::format("'{}': tensor '{}' {}", file, raw.name, what));
  };
  const DtypeName* dtype = find_dtype(raw.dtype);
  if (dtype == nullptr) fail(fmt::format("has the unknown dtype '{}'", raw.dtype));
  TensorInfo info{raw.name, dtype->dtype, {}, 0, 0};
  // `extent` counts an empty dimension as 1: strides are computed so, and must not overflow either.
  uint64_t bytes = dtype->bytes, extent = dtype->bytes;
  for (const uint64_t dim : raw.shape) {
    if (dim > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail(fmt::format("has the dimension {}", dim));
    if (__builtin_mul_overflow(extent, std::max<uint64_t>(dim, 1), &extent) ||
        extent > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail("has a shape whose size overflows 64 bits");
    bytes *= dim;
    info.shape.push_back(static_cast<int64_t>(dim));
  }
  if (raw.offsets.size() != 2) fail(fmt::format("has {} data_offsets, not 2", raw.offsets.size()));
  const uint64_t begin = raw.offsets[0], end = raw.offsets[1];
  if (begin > end) fail(fmt::format("begins at {}, behind its end {}", begin, end));
  if (end > data_bytes)
    fail(fmt::format("ends at {}, but the file has {} bytes of data", end, data_bytes));
  if (end - begin != bytes)
    fail(fmt::format("of shape {} and dtype {} needs {} bytes, its offsets give {}",
                     format_shape(info.shape), raw.dtype, bytes, end - begin));
  info.begin = begin;
  info.end = end;
  return info;
}

// Tensors in file order must cover the data part exactly.
void check_layout(const std::vector<TensorInfo>& tensors, size_t data_bytes,
                  const std::string& file) {
  size_t at = 0;
  for (const TensorInfo& info : tensors) {
    if (info.begin < at)
      throw DataError(fmt::format("'{}': tensor '{}' begins at {} inside the tensor before it",
                                  file, info.name, info.begin));
    if (info.begin > at)
      throw DataError(fmt::format("'{}': {} bytes before tensor '{}' belong to no tensor", file,
                                  info.begin - at, info.name));
    at = info.end;
  }
  if (at != data_bytes)
    throw DataError(fmt::format("'{}': {} bytes behind the last tensor belong to no tensor", file,
                                data_bytes - at));
}

}  // namespace

SafetensorsHeader parse_safetensors_header(const std::string& json, size_t data_bytes,
                                           const std::string& file) {
  if (json.empty() || json[0] != '{')
    throw DataError(fmt::format("'{}': the header does not begin with '{{'", file));
  for (size_t i = 0, length = 0; i < json.size(); i += length)
    if ((length = utf8_length(json, i)) == 0)
      throw DataError(fmt::format("'{}': byte {} of the header is not valid UTF-8", file, i));
  HeaderReader reader(file);
  nlohmann::json::sax_parse(json, &reader);
  SafetensorsHeader header;
  header.metadata = std::move(reader.metadata);
  for (const RawEntry& entry : reader.entries)
    header.tensors.push_back(check_entry(entry, data_bytes, file));
  // Equal ranges are empty tensors; they keep the header's order.
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const TensorInfo& a, const TensorInfo& b) {
                     return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                   });
  check_layout(header.tensors, data_bytes, file);
  return header;
}

std::string write_safetensors_header(const SafetensorsHeader& header) {
  std::string out = "{";
  if (!header.metadata.empty()) {
    out += "\"__metadata__\":{";
    for (const auto& [key, value] : header.metadata)
      out += (out.back() == '{' ? "" : ",") + quote_json(key) + ":" + quote_json(value);
    out += "}";
  }
  for (const TensorInfo& info : header.tensors) {
    if (out.size() > 1) out += ",";
    out +=
        quote_json(info.name) +
        fmt::format(R"(:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                    find_dtype(info.dtype)->name, fmt::join(info.shape, ","), info.begin, info.end);
  }
  out += "}";
  out.append((8 - out.size() % 8) % 8, ' ');
  return out;
}

}  // namespace lockstep
