#include "core/progress.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/terminal.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// "02:11", "1:31:02".
std::string format_time(double seconds) {
  const auto whole = static_cast<int64_t>(std::min(seconds, 1e9));
  if (whole < 3600) return fmt::format("{:02}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

struct Progress::State {
  std::string what, unit, note;
  int64_t total, start, done;
  double line_seconds;
  bool terminal = stderr_is_terminal();
  bool finished = false;
  Clock::time_point begin = Clock::now(), shown = begin;

  std::string line() const {
    const double elapsed = seconds_since(begin);
    const double rate = elapsed > 0 ? static_cast<double>(done - start) / elapsed : 0;
    const std::string left = rate > 0 ? format_time(static_cast<double>(total - done) / rate) : "?";
    return fmt::format("{} {}/{} [{}<{}, {:.{}f} {}/s]{}{}", what, done, total,
                       format_time(elapsed), left, rate, rate < 10 ? 2 : 1, unit,
                       note.empty() ? "" : " ", note);
  }
};

Progress::Progress(std::string what, int64_t total, std::string unit, bool enabled, int64_t start,
                   double line_seconds) {
  if (!enabled) return;
  state_ = std::make_unique<State>(
      State{std::move(what), std::move(unit), "", total, start, start, line_seconds});
  if (state_->terminal) draw_bar(state_->line());
}

Progress::~Progress() {
  if (state_ && state_->terminal && !state_->finished) draw_bar("");
}

void Progress::update(int64_t done, const std::string& note) {
  if (!state_ || state_->finished) return;
  state_->done = done;
  state_->note = note;
  constexpr double kRedrawSeconds = 0.1;
  const double wait = state_->terminal ? kRedrawSeconds : state_->line_seconds;
  if (seconds_since(state_->shown) < wait) return;
  state_->shown = Clock::now();
  if (state_->terminal)
    draw_bar(state_->line());
  else
    print_line(state_->line());
}

void Progress::print(const std::string& line) {
  if (state_) print_line(line);
}

void Progress::finish(const std::string& note) {
  if (!state_ || state_->finished) return;
  state_->finished = true;
  if (!note.empty()) state_->note = note;
  if (state_->terminal) draw_bar("");
  print_line(state_->line());
}

}  // namespace lockstep
