#include "data/text_rows.h"

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {

TextRows::TextRows(const fs::path& path)
    : path_(path), file_(path, std::ios::binary), block_(1 << 20) {
  std::error_code code;
  if (!fs::is_regular_file(path, code) || !file_)
    throw DataError("cannot read the file", "name a readable text file", {path.string()});
  bytes_total_ = static_cast<int64_t>(fs::file_size(path, code));
}

// False at the end of the file, if nothing was left.
bool TextRows::read_line(std::string& line) {
  line.clear();
  bool any = false;
  for (;;) {
    if (place_ == filled_) {
      file_.read(block_.data(), static_cast<std::streamsize>(block_.size()));
      if (file_.bad()) throw DataError("reading the file failed", "", {path_.string()});
      place_ = 0;
      filled_ = static_cast<size_t>(file_.gcount());
      bytes_read_ += file_.gcount();
      if (filled_ == 0) return any;
    }
    any = true;
    const std::string_view left(block_.data() + place_, filled_ - place_);
    const size_t end = left.find('\n');
    const std::string_view part = left.substr(0, end);
    if (line.size() <= kLongest) line += part.substr(0, kLongest + 1 - line.size());
    place_ += part.size();
    if (end != std::string_view::npos) {
      ++place_;
      return true;
    }
  }
}

bool TextRows::next(TextRow& row) {
  while (read_line(row.text)) {
    row.number = ++number_;
    if (number_ == 1 && row.text.starts_with("\xEF\xBB\xBF")) row.text.erase(0, 3);
    if (row.text.ends_with('\r')) row.text.pop_back();
    if (row.text.find_first_not_of(" \t") != std::string::npos) return true;
  }
  return false;
}

std::vector<CsvField> split_csv(std::string_view line) {
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
      } else if (!quoted && line[i] == ',') {
        break;
      }
      field.text += line[i];
    }
    if (quoted && i < line.size()) ++i;  // the closing quote
    while (i < line.size() && line[i] != ',') field.text += line[i++];
    while (!field.text.empty() && (field.text.back() == ' ' || field.text.back() == '\t'))
      field.text.pop_back();
    fields.push_back(std::move(field));
    if (i >= line.size()) return fields;
    ++i;
  }
}

}  // namespace lockstep
