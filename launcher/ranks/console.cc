#include "launcher/ranks/console.h"

#include <cerrno>

#include <unistd.h>

#include "core/program_name.h"

namespace lockstep {
namespace {

// A closed or broken stderr is no reason to stop a training.
void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = write(STDERR_FILENO, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;
    text.remove_prefix(static_cast<size_t>(done));
  }
}

}  // namespace

void Console::pass_on(std::string_view text) {
  if (text.empty()) return;
  write_all(text);
  at_line_start_ = text.back() == '\n';
  constexpr size_t kRemembered = 16 * 1024;
  recent_ += text;
  if (recent_.size() > kRemembered) recent_.erase(0, recent_.size() - kRemembered);
}

void Console::line(const std::string& text) {
  write_all((at_line_start_ ? "" : "\n") + with_program_name(text) + "\n");
  at_line_start_ = true;
}

}  // namespace lockstep
