#include "launcher/ranks/failure.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/files.h"

namespace lockstep {
namespace {

const RankState* find_rank(const Evidence& evidence, int rank) {
  for (const RankState& state : evidence.ranks)
    if (state.rank == rank) return &state;
  return nullptr;
}

std::string whole_seconds(double seconds) {
  return std::to_string(static_cast<int64_t>(seconds + 0.5)) + " s";
}

std::string where(const RankState* state) {
  if (state == nullptr || !state->seen) return " before its first step";
  const std::string step = std::to_string(state->page.step);
  return " after step " + step + " in phase '" + phase_name(state->page.phase) + "'";
}

Failure of_rank(const Evidence& evidence, int rank, Failure::Kind kind) {
  Failure failure;
  failure.kind = kind;
  failure.rank = rank;
  if (const RankState* state = find_rank(evidence, rank)) {
    failure.step = state->page.step;
    failure.pid = state->page.pid;
  }
  return failure;
}

Failure hang(const Evidence& evidence, const RankState& state, double silent_seconds) {
  Failure failure = of_rank(evidence, state.rank, Failure::Kind::kHang);
  const std::string name = "rank " + std::to_string(state.rank);
  if (!state.seen) {
    failure.fact = name + " did not start within " + whole_seconds(silent_seconds);
  } else if (state.gone) {
    failure.fact = name + " left the others" + where(&state);
  } else {
    failure.fact =
        name + " gave no sign of life for " + whole_seconds(silent_seconds) + where(&state);
    if (state.stopped) failure.fact += ": its process was stopped";
  }
  failure.help = "a step that needs longer than " + whole_seconds(evidence.timeout_seconds) +
                 " wants a larger ddp.timeout_seconds; a stopped process shows state T in `ps`";
  return failure;
}

Failure error_of(const Evidence& evidence, const RankError& error) {
  Failure failure = of_rank(evidence, error.rank, Failure::Kind::kError);
  failure.code = error.code;
  failure.fact = "rank " + std::to_string(error.rank) + " failed: " + error.fact;
  failure.message = error.message;
  failure.step = error.step;
  return failure;
}

Failure killed(const Evidence& evidence, int rank, int signal) {
  Failure failure = of_rank(evidence, rank, Failure::Kind::kSignal);
  failure.signal = signal;
  failure.fact = "rank " + std::to_string(rank) + " was killed by " + signal_name(signal) +
                 where(find_rank(evidence, rank));
  if (signal == SIGKILL && evidence.kills_for_memory > 0) {
    failure.fact += ": the kernel ran out of memory";
    failure.help =
        "lower train.micro_batch, data.prefetch_batches or the number of ranks, or run where there "
        "is more memory";
  } else if (signal == SIGKILL) {
    failure.help =
        "a person, the batch system or a memory limit did that; `dmesg | tail` tells if it was the "
        "kernel";
  } else if (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
             signal == SIGABRT) {
    failure.help =
        "this is a bug of Lockstep or of a plug-in; `ulimit -c unlimited` before the run keeps a "
        "core file";
  }
  return failure;
}

// The whole number behind the first `before` at or after `at`; `at` moves behind it. Nothing if
// there is none.
std::optional<int> number_after(const std::string& text, const std::string& before, size_t& at) {
  const size_t found = text.find(before, at);
  if (found == std::string::npos) return std::nullopt;
  const char* start = text.c_str() + found + before.size();
  char* end = nullptr;
  const long value = std::strtol(start, &end, 10);
  if (end == start) return std::nullopt;
  at = static_cast<size_t>(end - text.c_str());
  return static_cast<int>(value);
}

// Of a rank that is our own child, its index being its rank.
Failure ended_badly(const Evidence& evidence, const ChildEnd& end) {
  if (end.status.signal != 0) return killed(evidence, end.index, end.status.signal);
  Failure failure = of_rank(evidence, end.index, Failure::Kind::kExit);
  failure.pid = end.pid;
  failure.code = end.status.code;
  failure.fact =
      "rank " + std::to_string(end.index) + " exited with code " + std::to_string(end.status.code);
  return failure;
}

// Open MPI names the first rank that a signal ended, "process rank 1 with PID 7 on node n exited
// on signal 9", or the first that returned non-zero, "Process name: [[7,1],1] / Exit code: 42".
std::optional<Failure> told_by_starter(const Evidence& evidence) {
  if (evidence.first_failure) return ended_badly(evidence, *evidence.first_failure);
  const std::string& log = evidence.starter_log;
  size_t at = 0;
  if (const auto rank = number_after(log, "noticed that process rank ", at)) {
    if (const auto signal = number_after(log, " exited on signal ", at))
      return killed(evidence, *rank, *signal);
  }
  at = 0;
  if (!number_after(log, "Process name: [[", at)) return std::nullopt;
  const auto rank = number_after(log, "],", at);
  const auto code = number_after(log, "Exit code:", at);
  if (!rank || !code) return std::nullopt;
  Failure failure = of_rank(evidence, *rank, Failure::Kind::kExit);
  failure.code = *code;
  failure.fact = "rank " + std::to_string(*rank) + " exited with code " + std::to_string(*code);
  return failure;
}

// A shell's code above 128 stands for a signal. mpirun passes on its rank's and, if the rank died
// while it was still being started, says no more than that.
std::optional<Failure> killed_unnamed(const Evidence& evidence) {
  const int signal = evidence.starter.code - 128;
  if (evidence.direct || evidence.starter.signal != 0 || signal <= 0 || signal >= NSIG)
    return std::nullopt;
  const auto unseen = [](const RankState& state) { return !state.seen; };
  if (std::count_if(evidence.ranks.begin(), evidence.ranks.end(), unseen) == 1)
    return killed(evidence,
                  std::find_if(evidence.ranks.begin(), evidence.ranks.end(), unseen)->rank, signal);
  Failure failure = killed(evidence, -1, signal);
  failure.fact = "a rank was killed by " + signal_name(signal) + "; " + evidence.starter_name +
                 " did not say which";
  return failure;
}

Failure of_starter(const Evidence& evidence) {
  if (evidence.direct && evidence.starter.signal != 0)
    return killed(evidence, 0, evidence.starter.signal);
  Failure failure = of_rank(evidence, evidence.direct ? 0 : -1, Failure::Kind::kExit);
  if (!evidence.direct) failure.kind = Failure::Kind::kStarter;
  const std::string name = evidence.direct ? "rank 0" : evidence.starter_name;
  failure.code = evidence.starter.code;
  failure.signal = evidence.starter.signal;
  failure.fact = name + (failure.signal != 0 ? " was killed by " + signal_name(failure.signal)
                                             : " exited with code " + std::to_string(failure.code));
  return failure;
}

}  // namespace

ExitCode Failure::exit_code() const {
  if (kind != Kind::kError && kind != Kind::kExit) return ExitCode::kRanks;
  switch (code) {
    case 2:
    case 3:
    case 4:
    case 5:
    case 7:
    case 8:
    case 70:
      return static_cast<ExitCode>(code);
    case 126:
    case 127:
      return ExitCode::kEnvironment;  // the program or one of its libraries is missing
    default:
      return ExitCode::kRanks;
  }
}

bool Failure::may_restart() const { return exit_code() == ExitCode::kRanks; }

Failure find_cause(const Evidence& evidence) {
  if (evidence.hung) {
    return hang(evidence, *evidence.hung, evidence.hung_seconds);
  }
  for (const RankError& error : evidence.errors)
    if (error.code != static_cast<int>(ExitCode::kRanks)) return error_of(evidence, error);
  const auto told = told_by_starter(evidence);
  if (told && told->kind == Failure::Kind::kSignal) return *told;
  if (!evidence.errors.empty()) {
    const RankError& first = evidence.errors.front();
    for (const RankState& state : evidence.ranks) {
      const bool spoke =
          std::any_of(evidence.errors.begin(), evidence.errors.end(),
                      [&](const RankError& error) { return error.rank == state.rank; });
      const double silent = first.monotonic_seconds - state.page.monotonic_seconds;
      if (!spoke && state.seen && silent > 0.5 * evidence.timeout_seconds)
        return hang(evidence, state, silent);
    }
    return error_of(evidence, first);
  }
  if (told) return *told;
  if (const auto unnamed = killed_unnamed(evidence)) return *unnamed;
  return of_starter(evidence);
}

std::vector<std::string> last_lines(const std::filesystem::path& file, size_t count) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return {};
  stream.seekg(0, std::ios::end);
  const std::streamoff size = stream.tellg();
  stream.seekg(std::max<std::streamoff>(0, size - 64 * 1024));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    while (!line.empty() && line.back() == '\r') line.pop_back();
    const size_t redrawn = line.rfind('\r');
    if (redrawn != std::string::npos) line.erase(0, redrawn + 1);
    if (!line.empty()) lines.push_back(std::move(line));
  }
  if (lines.size() > count)
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return lines;
}

int64_t kills_for_memory() {
  int64_t kills = 0;
  for (const char* path : {"/proc/vmstat", "/sys/fs/cgroup/memory.events"}) {
    std::ifstream stream(path);
    std::string name;
    for (int64_t value = 0; stream >> name >> value;)
      if (name == "oom_kill") kills += value;
  }
  return kills;
}

}  // namespace lockstep
