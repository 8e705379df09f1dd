// What people see on stderr: rank 0's own text, passed on unchanged, and the launcher's lines.
//
// Rank 0 redraws a progress bar in place, so a line of the launcher must not start in the
// middle of it.
#pragma once

#include <string>
#include <string_view>

namespace lockstep {

class Console {
 public:
  // Text of rank 0, as it came.
  void pass_on(std::string_view text);
  // A line of ours, on a line of its own.
  void line(const std::string& text);
  // True if rank 0 has shown `text` not long ago.
  bool has_shown(const std::string& text) const { return recent_.find(text) != std::string::npos; }

 private:
  std::string recent_;  // the end of what rank 0 said
  bool at_line_start_ = true;
};

}  // namespace lockstep
