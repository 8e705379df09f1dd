// The lines of a text and the places in it, for messages; and the checks on bytes that any text
// from outside must pass before a parser sees it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/errors.h"

namespace lockstep {

// Not for several threads at once: it remembers where it counted last.
class TextLines {
 public:
  // Keeps a view of `text`, which must outlive this object. `file` is the name in messages.
  TextLines(std::string file, std::string_view text);

  // The place of a byte offset, or of a line and a byte column counted from 0 (as yaml-cpp
  // counts). Places count columns in code points; of long lines they keep a window.
  Place at(size_t offset) const;
  Place at(int line, int byte_column) const;
  const std::string& file() const { return file_; }

 private:
  int column_of(int line, size_t byte) const;
  std::string file_;
  std::string_view text_;
  std::vector<size_t> starts_;
  mutable int counted_line_ = -1, counted_columns_ = 0;
  mutable size_t counted_byte_ = 0;
};

// `text` up to its first line feed. Messages of other libraries go on with a stack of C++ calls.
std::string first_line(std::string_view text);
// The last line that is not empty; "" if there is none.
std::string last_line(std::string_view text);

// Throws ConfigError with place unless `text` is at most `limit` bytes of valid UTF-8 in lines of
// at most 64 KiB, without tabs, control characters other than line feed and CR LF, or absurdly many
// open brackets.
void check_text(const TextLines& lines, std::string_view text, size_t limit);

// The length of the UTF-8 sequence that starts at `text[i]`, or 0 if it is invalid (overlong
// forms, surrogates and values above U+10FFFF are; RFC 3629).
size_t utf8_length(std::string_view text, size_t i);

}  // namespace lockstep
