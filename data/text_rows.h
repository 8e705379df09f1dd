// Lines of a text file, one after the other, however long the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/gzip_input.h"

namespace lockstep {

struct TextRow {
  int64_t number = 0;  // from 1
  std::string text;    // without line end
};

// Reads what an GzipInput gives. Lines end with LF, CR LF or CR. A byte order mark is taken off;
// with the mark of UTF-16 the text is turned into ASCII, where other characters become '?'.
class TextRows {
 public:
  // Throws DataError if the file cannot be read, or is UTF-16 or binary without a mark.
  explicit TextRows(const std::filesystem::path& path);
  // The next line that is not empty; false at the end. What lies beyond `kLongest` characters is
  // left out (callers see that from the length).
  bool next(TextRow& row);
  static constexpr size_t kLongest = 4096;
  // Bytes read so far and in all, for progress.
  int64_t bytes_read() const { return file_.bytes_read(); }
  int64_t bytes_total() const { return file_.bytes_total(); }

 private:
  enum class Encoding { kBytes, kUtf16Little, kUtf16Big };

  bool read_line(std::string& line);
  bool fill();
  void find_encoding();
  void narrow();

  std::filesystem::path path_;
  GzipInput file_;
  std::string block_;  // decoded
  size_t place_ = 0;
  Encoding encoding_ = Encoding::kBytes;
  std::string half_;        // the first byte of a UTF-16 unit that a block cut
  bool skip_feed_ = false;  // the line before ended with CR: an LF belongs to it
  int64_t number_ = 0;
};

// A field of a separated line and where it starts (column from 1). Double quotes around a field are
// removed; "" inside them is a quote.
struct CsvField {
  std::string text;
  int column = 1;
};
std::vector<CsvField> split_csv(std::string_view line, char separator = ',');

// What separates the fields of `line`: the most frequent of comma, semicolon, tab and bar; a comma
// if there is none.
char separator_of(std::string_view line);

}  // namespace lockstep
