// Lines of a text file, one after the other, however long the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

struct TextRow {
  int64_t number = 0;  // from 1
  std::string text;    // without line end
};

class TextRows {
 public:
  // Throws DataError if the file cannot be read.
  explicit TextRows(const std::filesystem::path& path);
  // The next line that is not empty; false at the end. Removes a byte order mark, "\r", and what
  // lies beyond `kLongest` characters (callers see that from the length).
  bool next(TextRow& row);
  static constexpr size_t kLongest = 4096;
  // Bytes read so far and in all, for progress.
  int64_t bytes_read() const { return bytes_read_; }
  int64_t bytes_total() const { return bytes_total_; }

 private:
  bool read_line(std::string& line);

  std::filesystem::path path_;
  std::ifstream file_;
  std::vector<char> block_;
  size_t place_ = 0, filled_ = 0;
  int64_t number_ = 0, bytes_read_ = 0, bytes_total_ = 0;
};

// A field of a comma-separated line and where it starts (column from 1). Double quotes around a
// field are removed; "" inside them is a quote.
struct CsvField {
  std::string text;
  int column = 1;
};
std::vector<CsvField> split_csv(std::string_view line);

}  // namespace lockstep
