#include "data/images/tar_reader.h"

#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr uint64_t kTarBlock = 512;

// Octal digits, ended by space or zero; nullopt for anything else. GNU's base-256 numbers start
// with a set bit and only occur for files beyond 8 GiB.
std::optional<uint64_t> octal(const char* field, size_t size) {
  uint64_t value = 0;
  size_t i = 0;
  while (i < size && field[i] == ' ') ++i;
  const size_t first = i;
  for (; i < size && field[i] >= '0' && field[i] <= '7'; ++i)
    value = value * 8 + static_cast<uint64_t>(field[i] - '0');
  if (i < size && field[i] != ' ' && field[i] != '\0') return std::nullopt;
  return i == first && size == 8 ? std::nullopt : std::optional(value);
}

std::string text(const char* field, size_t size) { return {field, ::strnlen(field, size)}; }

// "LENGTH KEY=VALUE\n" records of a pax header; what is not understood is passed over.
struct PaxRecords {
  std::optional<std::string> path;
  std::optional<uint64_t> size;
  bool valid = true;
};

PaxRecords parse_pax(const std::string& body) {
  PaxRecords records;
  for (size_t at = 0; at < body.size() && body[at] != '\0';) {
    size_t length = 0, i = at;
    for (; i < body.size() && body[i] >= '0' && body[i] <= '9' && length < body.size(); ++i)
      length = length * 10 + static_cast<size_t>(body[i] - '0');
    const size_t equals = body.find('=', i);
    if (i == at || i >= body.size() || body[i] != ' ' || length > body.size() - at ||
        equals == std::string::npos || equals >= at + length || body[at + length - 1] != '\n')
      return {{}, {}, false};
    const std::string key = body.substr(i + 1, equals - i - 1),
                      value = body.substr(equals + 1, at + length - equals - 2);
    if (key == "path") records.path = value;
    if (key == "size") {
      if (value.empty() || value.size() > 18 ||
          value.find_first_not_of("0123456789") != std::string::npos)
        return {{}, {}, false};
      records.size = std::stoull(value);
    }
    at += length;
  }
  return records;
}

}  // namespace

struct TarReader::Header {
  char type = '0';
  std::string name;
  uint64_t size = 0;
};

TarReader::TarReader(const std::filesystem::path& path)
    : path_(path), file_(path, std::ios::binary) {
  if (!file_) throw DataError("the archive cannot be read", "", {path.string()});
}

void TarReader::fail(const std::string& fact, uint64_t at) const {
  throw DataError(fmt::format("{} at byte {} of the archive", fact, at),
                  "is it a tar file that was copied whole? Compressed ones are unpacked first",
                  {path_.string()});
}

bool TarReader::read_header(Header& header) {
  char block[kTarBlock];
  file_.read(block, kTarBlock);
  const auto got = static_cast<uint64_t>(file_.gcount());
  if (got == 0) return false;
  const uint64_t at = offset_;
  if (got != kTarBlock) fail("a header is cut short", at);
  offset_ += kTarBlock;
  if (std::memchr(block, 0, kTarBlock) == block &&
      std::string(block, kTarBlock).find_first_not_of('\0') == std::string::npos)
    return false;
  uint64_t sum = 0;
  for (size_t i = 0; i < kTarBlock; ++i)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  if (octal(block + 148, 8) != sum) fail("there is no valid tar header", at);
  const std::optional<uint64_t> size = octal(block + 124, 12);
  if (!size) fail("a member's size is not a number", at);
  header.size = *size;
  header.type = block[156] == '\0' ? '0' : block[156];
  header.name = text(block, 100);
  const bool ustar = std::memcmp(block + 257, "ustar", 5) == 0 && block[262] == '\0';
  if (ustar && block[345] != '\0') header.name = text(block + 345, 155) + "/" + header.name;
  return true;
}

std::string TarReader::read_body(uint64_t size) {
  if (size > kLargest)
    fail(fmt::format("a member of {} bytes (more than {})", size, kLargest), offset_);
  std::string body;
  // In pieces: the memory taken follows the bytes that are really there.
  for (uint64_t left = size; left > 0;) {
    const uint64_t piece = std::min<uint64_t>(left, 1 << 20);
    const size_t before = body.size();
    body.resize(before + piece);
    file_.read(body.data() + before, static_cast<std::streamsize>(piece));
    if (static_cast<uint64_t>(file_.gcount()) != piece) fail("a member is cut short", offset_);
    left -= piece;
  }
  const uint64_t padding = (kTarBlock - size % kTarBlock) % kTarBlock;
  file_.ignore(static_cast<std::streamsize>(padding));
  offset_ += size + padding;
  return body;
}

bool TarReader::next(TarMember& member) {
  PaxRecords pax;
  std::optional<std::string> long_name;
  for (Header header; read_header(header);) {
    const uint64_t at = offset_ - kTarBlock;
    const bool extends =
        header.type == 'x' || header.type == 'g' || header.type == 'L' || header.type == 'K';
    if (!extends && pax.size) header.size = *pax.size;
    std::string body = read_body(header.size);
    if (header.type == 'x') {
      pax = parse_pax(body);
      if (!pax.valid) fail("a pax header is damaged", at);
    } else if (header.type == 'L') {
      long_name = text(body.data(), body.size());
    } else if (!extends) {
      const bool regular = header.type == '0' || header.type == '7';
      if (regular) {
        member = {pax.path ? *pax.path : long_name.value_or(header.name), std::move(body)};
        return true;
      }
      pax = {};
      long_name.reset();
    }
  }
  return false;
}

}  // namespace lockstep
