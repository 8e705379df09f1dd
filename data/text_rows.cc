#include "data/text_rows.h"

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {

TextRows::TextRows(const fs::path& path) : path_(path), file_(path) {
  fill();
  find_encoding();
}

// The next block; false at the end of the file.
bool TextRows::fill() {
  constexpr size_t kBlock = 1 << 18;
  block_.resize(kBlock);
  block_.resize(file_.read(block_.data(), kBlock));
  place_ = 0;
  if (block_.empty()) return false;
  if (encoding_ != Encoding::kBytes) narrow();
  return true;
}

void TextRows::find_encoding() {
  const std::string_view head = block_;
  if (head.starts_with("\xEF\xBB\xBF")) place_ = 3;
  if (head.starts_with("\xFF\xFE")) encoding_ = Encoding::kUtf16Little;
  if (head.starts_with("\xFE\xFF")) encoding_ = Encoding::kUtf16Big;
  if (encoding_ != Encoding::kBytes) {
    block_.erase(0, 2);
    narrow();
  } else if (head.substr(0, 64).find('\0') != std::string_view::npos) {
    throw DataError("the file is no text, or UTF-16 without a byte order mark",
                    "turn it into UTF-8 first: iconv -f UTF-16LE -t UTF-8 FILE", {path_.string()});
  }
}

// Turns the UTF-16 units of the block into single characters.
void TextRows::narrow() {
  const std::string bytes = half_ + block_;
  const size_t high = encoding_ == Encoding::kUtf16Little ? 1 : 0;
  block_.clear();
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const auto low = static_cast<unsigned char>(bytes[i + 1 - high]);
    block_ += bytes[i + high] == '\0' && low < 0x80 ? static_cast<char>(low) : '?';
  }
  half_ = bytes.size() % 2 == 0 ? "" : bytes.substr(bytes.size() - 1);
}

// False at the end of the file, if nothing was left.
bool TextRows::read_line(std::string& line) {
  line.clear();
  bool any = false;
  for (;;) {
    if (place_ == block_.size() && !fill()) return any;
    if (skip_feed_) {
      skip_feed_ = false;
      if (place_ < block_.size() && block_[place_] == '\n') {
        ++place_;
        continue;
      }
    }
    any = true;
    const std::string_view left = std::string_view(block_).substr(place_);
    const size_t end = left.find_first_of("\r\n");
    const std::string_view part = left.substr(0, end);
    if (line.size() <= kLongest) line += part.substr(0, kLongest + 1 - line.size());
    place_ += part.size();
    if (end != std::string_view::npos) {
      skip_feed_ = block_[place_] == '\r';
      ++place_;
      return true;
    }
  }
}

bool TextRows::next(TextRow& row) {
  while (read_line(row.text)) {
    row.number = ++number_;
    if (row.text.find_first_not_of(" \t") != std::string::npos) return true;
  }
  return false;
}

char separator_of(std::string_view line) {
  char best = ',';
  for (const char candidate : {',', ';', '\t', '|'})
    if (std::count(line.begin(), line.end(), candidate) >
        std::count(line.begin(), line.end(), best))
      best = candidate;
  return best;
}

std::vector<CsvField> split_csv(std::string_view line, char separator) {
  std::vector<CsvField> fields;
  size_t i = 0;
  for (;;) {
    CsvField field;
    while (i < line.size() && line[i] == ' ') ++i;
    const bool quoted = i < line.size() && line[i] == '"';
    if (quoted) ++i;
    field.column = static_cast<int>(i) + 1;
    for (; i < line.size(); ++i) {
      if (quoted && line[i] == '"') {
        if (i + 1 == line.size() || line[i + 1] != '"') break;
        ++i;
      } else if (!quoted && line[i] == separator) {
        break;
      }
      field.text += line[i];
    }
    if (quoted && i < line.size()) ++i;  // the closing quote
    while (i < line.size() && line[i] != separator) field.text += line[i++];
    while (!field.text.empty() && (field.text.back() == ' ' || field.text.back() == '\t'))
      field.text.pop_back();
    fields.push_back(std::move(field));
    if (i >= line.size()) return fields;
    ++i;
  }
}

}  // namespace lockstep
