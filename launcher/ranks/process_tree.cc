#include "launcher/ranks/process_tree.h"

#include <algorithm>
#include <cctype>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace lockstep {
namespace {

struct Entry {
  pid_t parent = 0;
  char state = '?';
};

// "PID (NAME) STATE PARENT …"; the name may hold spaces and brackets.
bool read_entry(const std::filesystem::path& folder, Entry& entry) {
  std::ifstream file(folder / "stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  const size_t bracket = line.rfind(')');
  if (bracket == std::string::npos) return false;
  std::istringstream rest(line.substr(bracket + 1));
  return static_cast<bool>(rest >> entry.state >> entry.parent);
}

std::multimap<pid_t, pid_t> children_of_all() {
  std::multimap<pid_t, pid_t> children;
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc", error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    Entry entry;
    if (!std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c); }))
      continue;
    if (read_entry(it->path(), entry) && entry.state != 'Z' && entry.state != 'X') {
      children.emplace(entry.parent, static_cast<pid_t>(std::stol(name)));
    }
  }
  return children;
}

double now_seconds() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

std::vector<pid_t> descendants(pid_t root) {
  const auto children = children_of_all();
  std::vector<pid_t> found{root};
  for (size_t i = 0; i < found.size(); ++i) {
    const auto [first, last] = children.equal_range(found[i]);
    for (auto it = first; it != last; ++it) found.push_back(it->second);
  }
  found.erase(found.begin());
  return found;
}

bool kill_descendants(double limit_seconds) {
  const double end = now_seconds() + limit_seconds;
  for (;;) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const std::vector<pid_t> left = descendants(getpid());
    if (left.empty()) return true;
    if (now_seconds() > end) return false;
    for (pid_t pid : left) kill(pid, SIGKILL);
    usleep(5000);
  }
}

}  // namespace lockstep
