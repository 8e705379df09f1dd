#include "core/run_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <fstream>
#include <system_error>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {
namespace {

std::string stamp(std::time_t time) {
  std::tm local{};
  ::localtime_r(&time, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &local);
  return text;
}

// Runs sort by when they were started: (stamp, number behind it). A folder with another name takes
// the stamp of its plan's file.
std::pair<std::string, int> age_key(const fs::path& run) {
  const std::string name = run.filename().string();
  constexpr size_t kStamp = 15;
  bool is_stamp = name.size() >= kStamp && name[8] == '-';
  for (size_t i = 0; is_stamp && i < kStamp; ++i)
    is_stamp = i == 8 || (name[i] >= '0' && name[i] <= '9');
  const std::string rest = is_stamp ? name.substr(kStamp) : "";
  const bool is_number =
      rest.size() > 1 && rest.size() < 8 && rest[0] == '-' &&
      std::all_of(rest.begin() + 1, rest.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (is_stamp && (rest.empty() || is_number))
    return {name.substr(0, kStamp), rest.empty() ? 1 : std::stoi(rest.substr(1))};
  struct stat info{};
  if (::stat(RunFolder{run}.plan().c_str(), &info) != 0) return {"", 0};
  return {stamp(info.st_mtime), 0};
}

// Adds the runs in `folder` and up to `levels` below it.
void collect_runs(const fs::path& folder, int levels, std::vector<fs::path>& runs) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (!entry.is_directory(ignored)) continue;
    if (RunFolder{entry.path()}.holds_run())
      runs.push_back(entry.path());
    else if (levels > 1)
      collect_runs(entry.path(), levels - 1, runs);
  }
}

}  // namespace

bool RunFolder::holds_run() const {
  std::error_code ignored;
  return fs::is_regular_file(config(), ignored) && fs::is_regular_file(plan(), ignored);
}

int RunFolder::next_attempt() const {
  int next = 0;
  std::error_code error;
  const std::string prefix = "attempt-";
  for (std::filesystem::directory_iterator it(root / "logs", error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    int number = -1;
    if (name.rfind(prefix, 0) != 0) continue;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number);
    next = std::max(next, number + 1);
  }
  return next;
}

std::unique_ptr<FileLock> RunFolder::take_lock(const std::string& help) const {
  auto taken = std::make_unique<FileLock>(lock(), help);
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  std::ofstream(lock(), std::ios::trunc) << ::getpid() << ' ' << host << '\n';
  return taken;
}

void RunFolder::remove_unfinished() const {
  std::error_code error;
  std::vector<std::filesystem::path> found;
  using Walk = std::filesystem::recursive_directory_iterator;
  for (auto entry = Walk(root, error); !error && entry != Walk(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(".tmp-") || name.starts_with(".step-")) {
      found.push_back(entry->path());
      entry.disable_recursion_pending();
    }
  }
  for (const std::filesystem::path& path : found) std::filesystem::remove_all(path, error);
}

void RunFolder::check_still_there() const {
  std::error_code error;
  if (fs::is_directory(root, error)) return;
  throw EnvironmentError(
      fmt::format("the run folder '{}' was removed or moved while the run used it", root.string()),
      "move it back and resume it, or resume it where it is now; leave it in place while it "
      "trains");
}

void RunFolder::make_folder(const fs::path& folder) const {
  check_still_there();
  make_folders(folder);
}

std::string RunFolder::step_name(int64_t step) { return fmt::format("step-{:08}", step); }

RunFolder RunFolder::make_new(const fs::path& folder, const std::string& name) {
  if (!is_safe_relative(name))
    throw ConfigError(fmt::format("the run's name '{}' cannot be a folder", name),
                      "use letters, digits, '.', '_' and '-'");
  const fs::path parent = folder / name;
  make_folders(parent);
  const std::string base = stamp(std::time(nullptr));
  constexpr int kMost = 10'000;
  for (int number = 1; number < kMost; ++number) {
    const fs::path path = parent / (number == 1 ? base : fmt::format("{}-{}", base, number));
    if (::mkdir(path.c_str(), 0777) == 0)
      return RunFolder{path};  // exclusive: two runs never share one
    if (errno != EEXIST)
      throw EnvironmentError(fmt::format("cannot make the run folder '{}': {}", path.string(),
                                         std::generic_category().message(errno)),
                             "set run.folder to a folder that you may write to");
  }
  throw EnvironmentError(
      fmt::format("too many run folders '{}' of the same second", (parent / base).string()));
}

RunFolder RunFolder::find(const fs::path& path) {
  if (RunFolder{path}.holds_run()) return RunFolder{path};
  std::vector<fs::path> runs;
  collect_runs(path, 2, runs);
  if (runs.empty())
    throw ConfigError(fmt::format("no run in '{}'", path.string()),
                      "name the folder that train printed as 'run folder: PATH', or one above it");
  return RunFolder{
      *std::max_element(runs.begin(), runs.end(), [](const fs::path& a, const fs::path& b) {
        return std::tuple(age_key(a), a) < std::tuple(age_key(b), b);
      })};
}

}  // namespace lockstep
