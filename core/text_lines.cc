#include "core/text_lines.h"

#include <algorithm>

#include <fmt/format.h>

namespace lockstep {
namespace {

constexpr int kWindow = 160;  // columns of a long line that a place keeps
// yaml-cpp looks ahead to the end of a line, and over all open brackets, before it gives an event.
constexpr size_t kMaxLine = size_t{1} << 16;
constexpr int kMaxOpenBrackets = 1000;  // those in comments and quotes count too

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

int count_code_points(std::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

}  // namespace

size_t utf8_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) {
    return k < text.size() ? static_cast<unsigned char>(text[k]) : 0;
  };
  const unsigned first = byte(i), second = byte(i + 1);
  if (first < 0x80) return 1;
  size_t length = 0;
  if (first >= 0xC2 && first <= 0xDF) length = 2;
  if (first >= 0xE0 && first <= 0xEF) length = 3;
  if (first >= 0xF0 && first <= 0xF4) length = 4;
  if (length == 0) return 0;
  for (size_t k = 1; k < length; ++k)
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return 0;
  if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return 0;
  return length;
}

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

std::string last_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const size_t end = text.rfind('\n');
  return std::string(end == std::string_view::npos ? text : text.substr(end + 1));
}

TextLines::TextLines(std::string file, std::string_view text)
    : file_(std::move(file)), text_(text), starts_{0} {
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '\n') starts_.push_back(i + 1);
}

Place TextLines::at(size_t offset) const {
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
  const auto line = static_cast<int>(next - starts_.begin()) - 1;
  return at(line, static_cast<int>(offset - starts_[line]));
}

// Parsers ask for places in ascending order, so columns are counted on from the last one: a file of
// one long line would take quadratic time otherwise.
int TextLines::column_of(int line, size_t byte) const {
  const size_t begin = starts_[line];
  if (counted_line_ != line || counted_byte_ > byte) {
    counted_line_ = line;
    counted_byte_ = 0;
    counted_columns_ = 0;
  }
  counted_columns_ += count_code_points(text_.substr(begin + counted_byte_, byte - counted_byte_));
  counted_byte_ = byte;
  return counted_columns_ + 1;
}

Place TextLines::at(int line, int byte_column) const {
  Place place{file_, line + 1, byte_column + 1, ""};
  if (line < 0 || byte_column < 0 || static_cast<size_t>(line) >= starts_.size()) return place;
  const size_t begin = starts_[line];
  size_t end =
      static_cast<size_t>(line) + 1 < starts_.size() ? starts_[line + 1] - 1 : text_.size();
  if (end > begin && text_[end - 1] == '\r') --end;
  const std::string_view whole = text_.substr(begin, end - begin);
  const size_t byte = std::min<size_t>(byte_column, whole.size());
  place.column = column_of(line, byte);
  size_t from = place.column > kWindow * 3 / 4 ? byte : 0;  // first byte of the window
  for (int back = 0; from > 0 && back < kWindow / 2; ++back)
    for (--from; from > 0 && continues(whole[from]);) --from;
  size_t to = from;
  for (int shown = 0; to < whole.size() && shown < kWindow; ++shown)
    for (++to; to < whole.size() && continues(whole[to]);) ++to;
  place.text = std::string(whole.substr(from, to - from));
  place.skipped =
      from == 0 ? 0 : place.column - 1 - count_code_points(whole.substr(from, byte - from));
  return place;
}

void check_text(const TextLines& lines, std::string_view text, size_t limit) {
  if (text.size() > limit)
    throw ConfigError(fmt::format("the text has {} bytes, more than {}", text.size(), limit),
                      "a config is short; put data into files that it names", {lines.file()});
  size_t line_begin = 0;
  int open_brackets = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    const auto byte = static_cast<unsigned char>(text[i]);
    if (length == 0)
      throw ConfigError(fmt::format("byte 0x{:02X} is not valid UTF-8", byte),
                        "save the file as UTF-8", lines.at(i));
    if (byte == '\t') throw ConfigError("a tab", "use spaces", lines.at(i));
    const bool line_end =
        byte == '\n' || (byte == '\r' && i + 1 < text.size() && text[i + 1] == '\n');
    if ((byte < 0x20 && !line_end) || byte == 0x7F)
      throw ConfigError(fmt::format("control character 0x{:02X}", byte),
                        "remove it, or write it as an escape in double quotes", lines.at(i));
    if (byte == '\n') line_begin = i;
    if (i - line_begin > kMaxLine)
      throw ConfigError(fmt::format("a line of more than {} bytes", kMaxLine), "break the line",
                        lines.at(i));
    open_brackets += (byte == '[' || byte == '{') - (byte == ']' || byte == '}');
    if (open_brackets > kMaxOpenBrackets)
      throw ConfigError(fmt::format("more than {} brackets are open", kMaxOpenBrackets),
                        "close them", lines.at(i));
    i += length;
  }
}

}  // namespace lockstep
