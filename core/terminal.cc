#include "core/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <string_view>

#include "core/program_name.h"

namespace lockstep {
namespace {

constexpr const char* kClearLine = "\r\x1b[K";

struct Bar {
  std::mutex mutex;
  std::string text;
};

Bar& bar() {
  static Bar* const bar = new Bar;  // never destroyed: threads may log until the very end
  return *bar;
}

// One write() a message, so that lines of several processes do not mix.
void write_stderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = ::write(STDERR_FILENO, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;  // nobody reads stderr: nothing to be told
    text.remove_prefix(static_cast<size_t>(done));
  }
}

}  // namespace

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

int terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void print_line(const std::string& text) {
  const std::string line = with_program_name(text);
  const std::lock_guard lock(bar().mutex);
  if (bar().text.empty())
    write_stderr(line + "\n");
  else
    write_stderr(kClearLine + line + "\n" + bar().text);
}

void draw_bar(const std::string& text) {
  const std::lock_guard lock(bar().mutex);
  if (text.empty() && bar().text.empty()) return;
  bar().text = text.substr(0, static_cast<size_t>(terminal_columns() - 1));
  write_stderr(kClearLine + bar().text);
}

}  // namespace lockstep
