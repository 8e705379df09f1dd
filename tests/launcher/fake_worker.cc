// Stands in for lockstep-worker in the launcher's tests: the same command line, files and
// signals, no torch, no MPI, and any misfortune on demand.
//
// FAKE_STEPS, FAKE_STEP_MILLISECONDS, FAKE_CHECKPOINT_EVERY set the pace. FAKE_EVENTS lists
// what happens: "ATTEMPT.RANK@STEP:ACTION" with `*` for any, several divided by commas.
//   error=CODE  says why and exits        silent=CODE  exits without a word
//   signal=N    kills itself              stop         is stopped (SIGSTOP)
//   leave       exits 0 in the middle
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <time.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/heartbeat.h"
#include "core/run_folder.h"

using namespace lockstep;
using Json = nlohmann::ordered_json;

namespace {

volatile std::sig_atomic_t stop = 0;

std::string variable(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : fallback;
}

int rank() {
  return std::atoi(variable("OMPI_COMM_WORLD_RANK",
                            variable("LOCKSTEP_RANK", variable("RANK", "0").c_str()).c_str())
                       .c_str());
}

std::string flag(const std::vector<std::string>& words, const std::string& name) {
  for (size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == name) return words[i + 1];
  return "";
}

bool has(const std::vector<std::string>& words, const std::string& name) {
  for (const std::string& word : words)
    if (word == name) return true;
  return false;
}

int plan(const std::vector<std::string>& words) {
  const std::string config = words.size() > 1 ? words[1] : "";
  if (config == "bad.yaml") {
    std::cerr << "error: unknown key 'trian'\n  --> bad.yaml:3:1\nhelp: did you mean 'train'?\n";
    return 2;
  }
  if (config == "slow.yaml") sleep(20);
  const bool resume = has(words, "--resume");
  int64_t ranks = std::atoi(variable("FAKE_RANKS", "1").c_str());
  int64_t restarts = 3;
  for (const std::string& word : words) {
    if (word.rfind("launch.ranks_per_node=", 0) == 0) ranks = std::atoi(word.c_str() + 22);
    if (word.rfind("launch.max_restarts=", 0) == 0) restarts = std::atoi(word.c_str() + 20);
  }
  if (!flag(words, "--ranks").empty()) ranks = std::atoi(flag(words, "--ranks").c_str());
  const Json json{{"name", "fake"},
                  {"folder", variable("FAKE_FOLDER", "runs")},
                  {"run_folder", resume ? config : flag(words, "--run-folder")},
                  {"ranks", ranks},
                  {"nodes", 1},
                  {"ranks_per_node", ranks},
                  {"threads_per_rank", 1},
                  {"with", variable("FAKE_WITH", "auto")},
                  {"device", "cpu"},
                  {"steps", std::atoi(variable("FAKE_STEPS", "5").c_str())},
                  {"max_restarts", restarts},
                  {"timeout_seconds", std::atof(variable("FAKE_TIMEOUT", "60").c_str())},
                  {"config_hash", "0123456789abcdef"},
                  {"slots", 8},
                  {"global_batch", 64},
                  {"words", words},
                  {"config_yaml", "train:\n  steps: 5  # fake\n"},
                  {"explain", "a fake run of " + std::to_string(ranks) + " ranks\n"}};
  std::cout << "this line is no plan\n" << json.dump() << "\n";
  return 0;
}

struct Training {
  RunFolder run;
  int attempt = 0;

  int64_t newest() const {
    int64_t newest = 0;
    std::error_code error;
    for (fs::directory_iterator it(run.checkpoints(), error), end; !error && it != end; ++it) {
      const std::string name = it->path().filename();
      if (name.rfind("step-", 0) == 0)
        newest = std::max<int64_t>(newest, std::atoll(name.c_str() + 5));
    }
    return newest;
  }
  void save(int64_t step) const {
    if (rank() != 0) return;
    make_folders(run.checkpoint(step));
    write_file_atomic(run.checkpoint(step) / "MANIFEST.json", "{}");
  }
  void status(const char* state, int64_t step) const {
    if (rank() != 0) return;
    write_file_atomic(
        run.status(),
        Json{{"state", state}, {"step", step}, {"exit_code", 0}, {"attempt", attempt}}.dump());
  }
  void metrics(int64_t step) const {
    if (rank() != 0) return;
    std::ofstream(run.metrics(), std::ios::app) << Json{{"step", step},
                                                        {"time", 1.0 * time(nullptr)},
                                                        {"loss", 2.0 / static_cast<double>(step)},
                                                        {"lr", 0.1},
                                                        {"grad_norm", 1.0}}
                                                       .dump()
                                                << "\n";
  }
  [[noreturn]] void fail(int code, int64_t step) const {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const std::string fact = code == 6 ? "a peer is gone" : "shard train-003.h5 is damaged";
    write_file_atomic(
        run.attempt(attempt) / ("rank-" + std::to_string(rank()) + ".error.json"),
        Json{{"rank", rank()},
             {"code", code},
             {"message", "error: " + fact + "\n  --> train-003.h5\nhelp: fetch it again"},
             {"fact", fact},
             {"monotonic_seconds",
              static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec)},
             {"step", step}}
            .dump());
    std::exit(code);
  }
  // What FAKE_EVENTS holds for this attempt, rank and step.
  void event(int64_t step) const {
    std::istringstream events(variable("FAKE_EVENTS", ""));
    for (std::string event; std::getline(events, event, ',');) {
      const size_t dot = event.find('.'), at = event.find('@'), colon = event.find(':');
      const auto fits = [](const std::string& text, int64_t value) {
        return text == "*" || std::atoll(text.c_str()) == value;
      };
      if (!fits(event.substr(0, dot), attempt) ||
          !fits(event.substr(dot + 1, at - dot - 1), rank()) ||
          !fits(event.substr(at + 1, colon - at - 1), step)) {
        continue;
      }
      const std::string action = event.substr(colon + 1);
      const int value = action.find('=') == std::string::npos
                            ? 0
                            : std::atoi(action.c_str() + action.find('=') + 1);
      if (action.rfind("error", 0) == 0) fail(value, step);
      if (action.rfind("silent", 0) == 0) std::exit(value);
      if (action.rfind("signal", 0) == 0) std::signal(value, SIG_DFL), raise(value);
      if (action == "stop") raise(SIGSTOP);
      if (action == "leave") std::exit(0);
    }
  }
};

int train(const std::vector<std::string>& words) {
  if (flag(words, "--attempt").empty()) {  // started by a foreign launcher
    std::cout << "foreign rank " << rank() << ":";
    for (const std::string& word : words) std::cout << ' ' << word;
    std::cout << "\n";
    return 0;
  }
  const Training training{{flag(words, "--run-folder")},
                          std::atoi(flag(words, "--attempt").c_str())};
  std::ofstream log(training.run.rank_log(training.attempt, rank()), std::ios::app);
  log << "rank " << rank() << " starts\n" << std::flush;
  for (int number : {SIGTERM, SIGUSR1}) std::signal(number, [](int) { stop = 1; });
  HeartbeatPage page(training.run.rank_page(training.attempt, rank()), true);
  if (rank() == 0)
    std::cerr << "fake training" << (isatty(STDERR_FILENO) == 1 ? " on a terminal" : "") << "\n";
  const int64_t steps = std::atoi(variable("FAKE_STEPS", "5").c_str());
  const int64_t every = std::atoi(variable("FAKE_CHECKPOINT_EVERY", "2").c_str());
  const int64_t start = training.newest();
  log << "starting from step " << start << "\n" << std::flush;
  for (int64_t step = start + 1; step <= steps; ++step) {
    usleep(static_cast<useconds_t>(std::atoi(variable("FAKE_STEP_MILLISECONDS", "20").c_str())) *
           1000);
    page.write(step, Phase::kCompute);
    training.event(step);
    training.metrics(step);
    log << "step " << step << "\n" << std::flush;
    if (step % every == 0 || stop != 0) training.save(step);
    if (stop == 0) continue;
    training.status("stopped", step);
    page.write(step, Phase::kDone);
    return 0;
  }
  training.save(steps);
  training.status("done", steps);
  page.write(steps, Phase::kDone);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.empty()) return 2;
  if (words[0] == "plan") return plan(words);
  if (words[0] == "train") return train(words);
  for (const std::string& word : words) std::cout << word << "\n";
  return 0;
}
