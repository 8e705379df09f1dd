#include "launcher/ranks/rank_watch.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>

#include <time.h>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {

double monotonic_seconds() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

namespace {

// State T of /proc/PID/stat, behind the name in parentheses.
bool is_stopped(int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  return name_end != std::string::npos && line.compare(name_end + 1, 2, " T") == 0;
}

}  // namespace

RankWatch::RankWatch(RunFolder run, int attempt, int64_t num_ranks, double timeout_seconds)
    : run_(std::move(run)),
      attempt_(attempt),
      timeout_seconds_(timeout_seconds),
      // The ranks' own deadlines end at the timeout: they shall speak first, they know more.
      slack_seconds_(std::clamp(0.1 * timeout_seconds, 1.0, 30.0)),
      start_seconds_(monotonic_seconds()),
      last_poll_seconds_(start_seconds_),
      ranks_(static_cast<size_t>(num_ranks)),
      pages_(static_cast<size_t>(num_ranks)) {
  for (size_t i = 0; i < ranks_.size(); ++i) ranks_[i].rank = static_cast<int>(i);
}

void RankWatch::poll() {
  constexpr double kLongPause = 5;  // polls are 0.1 s apart
  const double now = monotonic_seconds();
  if (now - last_poll_seconds_ > kLongPause) start_seconds_ = now;
  last_poll_seconds_ = now;
  for (size_t i = 0; i < ranks_.size(); ++i) {
    RankState& rank = ranks_[i];
    if (pages_[i] == nullptr) {
      const fs::path path = run_.rank_page(attempt_, rank.rank);
      std::error_code error;
      if (!fs::exists(path, error)) continue;
      try {
        pages_[i] = std::make_unique<HeartbeatPage>(path, false);
      } catch (const Error&) {
        continue;  // being made right now
      }
    }
    const Heartbeat page = pages_[i]->read();
    if (page.pid <= 0) continue;
    rank.page = page;
    rank.seen = true;
    if (!rank.gone && kill(static_cast<pid_t>(page.pid), 0) != 0 && errno == ESRCH) {
      rank.gone = true;
      rank.gone_seconds = monotonic_seconds();
    }
    rank.stopped =
        !rank.gone && silent_seconds(rank) > 0.5 * timeout_seconds_ && is_stopped(page.pid);
  }
}

bool RankWatch::all_seen() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [](const RankState& rank) { return rank.seen; });
}

double RankWatch::silent_seconds(const RankState& rank) const {
  return monotonic_seconds() - std::max(rank.page.monotonic_seconds, start_seconds_);
}

std::optional<RankState> RankWatch::hung() const {
  const RankState* worst = nullptr;
  for (const RankState& rank : ranks_) {
    if (rank.seen && rank.page.phase == Phase::kDone) continue;
    // mpirun notices a dead rank within seconds, if it ever does.
    const double limit = rank.gone ? std::min(10.0, timeout_seconds_) : timeout_seconds_;
    const double silent =
        rank.gone ? monotonic_seconds() - rank.gone_seconds : silent_seconds(rank);
    if (silent <= limit + slack_seconds_) continue;
    if (worst == nullptr || silent_seconds(rank) > silent_seconds(*worst)) worst = &rank;
  }
  if (worst == nullptr) return std::nullopt;
  // Those that wait for a stopped rank fall silent at about the same time.
  for (const RankState& rank : ranks_)
    if (rank.stopped) return rank;
  return *worst;
}

int64_t RankWatch::step() const {
  int64_t step = 0;
  for (const RankState& rank : ranks_) step = std::max(step, rank.page.step);
  return step;
}

std::vector<RankError> RankWatch::errors() const {
  std::vector<RankError> errors;
  for (const RankState& rank : ranks_) {
    const fs::path path =
        run_.attempt(attempt_) / ("rank-" + std::to_string(rank.rank) + ".error.json");
    std::error_code missing;
    if (!fs::exists(path, missing)) continue;
    try {
      const auto json = nlohmann::json::parse(read_file(path, 1 << 20));
      RankError error;
      error.rank = rank.rank;
      error.code = json.at("code").get<int>();
      error.message = json.at("message").get<std::string>();
      error.fact = json.value("fact", error.message);
      error.monotonic_seconds = json.value("monotonic_seconds", 0.0);
      error.step = json.value("step", rank.page.step);
      errors.push_back(std::move(error));
    } catch (const std::exception&) {
      continue;  // the rank died while it wrote
    }
  }
  std::stable_sort(errors.begin(), errors.end(), [](const RankError& a, const RankError& b) {
    return a.monotonic_seconds < b.monotonic_seconds;
  });
  return errors;
}

}  // namespace lockstep
