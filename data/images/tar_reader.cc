#include "data/images/tar_reader.h"

#include <algorithm>
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
  std::optional<std::string> path, link;
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
      return {{}, {}, {}, false};
    const std::string key = body.substr(i + 1, equals - i - 1),
                      value = body.substr(equals + 1, at + length - equals - 2);
    if (key == "path") records.path = value;
    if (key == "linkpath") records.link = value;
    if (key == "size") {
      if (value.empty() || value.size() > 18 ||
          value.find_first_not_of("0123456789") != std::string::npos)
        return {{}, {}, {}, false};
      records.size = std::stoull(value);
    }
    at += length;
  }
  return records;
}

// A link waits for the end of the listing, since its file may come later.
struct TarLink {
  size_t place = 0;  // how many files came before it
  std::string name, target;
};

// A name as one path: without "./" in front, "//" and "x/../" inside.
std::string plain_name(const std::string& name) {
  return std::filesystem::path(name).lexically_normal().string();
}

// Puts a member with the target's bytes where each link stood. A link to a link is followed.
void resolve_links(const std::vector<TarLink>& links,
                   const std::map<std::string, TarMember>& by_name, TarListing& listing) {
  constexpr int kMostSteps = 16;
  std::map<std::string, std::string> targets;
  for (const TarLink& link : links) targets[plain_name(link.name)] = link.target;
  std::vector<TarMember> all;
  size_t copied = 0;
  for (const TarLink& link : links) {
    for (; copied < link.place; ++copied) all.push_back(std::move(listing.files[copied]));
    std::string target = link.target;
    for (int step = 0; step < kMostSteps && !by_name.contains(target) && targets.contains(target);
         ++step)
      target = targets[target];
    if (const auto found = by_name.find(target); found != by_name.end())
      all.push_back({link.name, found->second.begin, found->second.size});
    else
      listing.unused[link.name] =
          "a link to '" + link.target + "', which the archive does not hold";
  }
  for (; copied < listing.files.size(); ++copied) all.push_back(std::move(listing.files[copied]));
  listing.files = std::move(all);
}

}  // namespace

struct TarReader::Header {
  char type = '0';
  std::string name, link;
  uint64_t size = 0;
};

TarReader::TarReader(const std::filesystem::path& path)
    : path_(path), file_(path, std::ios::binary) {
  std::error_code code;
  if (!file_) throw DataError("the archive cannot be read", "", {path.string()});
  if (!std::filesystem::is_regular_file(path, code))
    throw DataError("the archive is no regular file, and it is read twice",
                    "save it to a file first", {path.string()});
  length_ = std::filesystem::file_size(path, code);
}

void TarReader::fail(const std::string& fact, uint64_t at) const {
  throw DataError(fmt::format("{} at byte {} of the archive", fact, at),
                  "is it a tar file that was copied whole? Compressed ones are unpacked first",
                  {path_.string()});
}

// Empty blocks end an archive. Another archive may follow them (`cat a.tar b.tar`), so they are
// passed over; only the end of the file ends the listing.
bool TarReader::read_header(Header& header) {
  char block[kTarBlock];
  uint64_t at = 0;
  bool ended = false;
  for (;;) {
    at = offset_;
    file_.read(block, kTarBlock);
    const auto got = static_cast<uint64_t>(file_.gcount());
    if (got == 0) return false;
    const bool empty = std::all_of(block, block + got, [](char c) { return c == 0; });
    if (got != kTarBlock && !(ended && empty)) fail("a header is cut short", at);
    offset_ += got;
    if (!empty) break;
    ended = true;
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < kTarBlock; ++i)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  if (octal(block + 148, 8) != sum) fail("there is no valid tar header", at);
  const std::optional<uint64_t> size = octal(block + 124, 12);
  if (!size) fail("a member's size is not a number", at);
  header.size = *size;
  header.type = block[156] == '\0' ? '0' : block[156];
  header.name = text(block, 100);
  header.link = text(block + 157, 100);
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
  return body;
}

void TarReader::pass_body(uint64_t size) {
  if (size > length_ || offset_ > length_ - size) fail("a member is cut short", offset_);
  offset_ = std::min(length_, offset_ + size + (kTarBlock - size % kTarBlock) % kTarBlock);
  file_.clear();
  file_.seekg(static_cast<std::streamoff>(offset_));
}

TarListing TarReader::list() {
  TarListing listing;
  std::vector<TarLink> links;
  std::map<std::string, TarMember> by_name;
  PaxRecords pax;
  std::optional<std::string> long_name, long_link;
  for (Header header; read_header(header);) {
    const uint64_t at = offset_ - kTarBlock;
    const char type = header.type;
    if (type == 'x' || type == 'L' || type == 'K') {
      const uint64_t begin = offset_;
      const std::string body = read_body(header.size);
      offset_ = begin;
      pass_body(header.size);
      if (type == 'L') long_name = text(body.data(), body.size());
      if (type == 'K') long_link = text(body.data(), body.size());
      if (type == 'x' && !(pax = parse_pax(body)).valid) fail("a pax header is damaged", at);
      continue;
    }
    if (type == 'g') {
      pass_body(header.size);
      continue;
    }
    const std::string name = pax.path ? *pax.path : long_name.value_or(header.name),
                      target = pax.link ? *pax.link : long_link.value_or(header.link);
    const uint64_t size = pax.size.value_or(header.size);
    pax = {};
    long_name.reset();
    long_link.reset();
    if (type == '0' || type == '7') {
      if (size > kLargest)
        fail(fmt::format("a member of {} bytes (more than {})", size, kLargest), offset_);
      listing.files.push_back({name, offset_, size});
      by_name[plain_name(name)] = listing.files.back();
      pass_body(size);
      continue;
    }
    // A hard link is named from the archive's root, a symbolic one from its own folder.
    if (type == '1') links.push_back({listing.files.size(), name, plain_name(target)});
    if (type == '2')
      links.push_back({listing.files.size(), name,
                       plain_name((std::filesystem::path(name).parent_path() / target).string())});
    if (type != '1' && type != '2' && type != '5')
      listing.unused[name] = "neither a file nor a link";
    pass_body(type == '1' || type == '2' ? 0 : size);
  }
  resolve_links(links, by_name, listing);
  return listing;
}

std::string TarReader::read(const TarMember& member) {
  file_.clear();
  offset_ = member.begin;
  file_.seekg(static_cast<std::streamoff>(offset_));
  return read_body(member.size);
}

}  // namespace lockstep
