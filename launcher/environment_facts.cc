#include "launcher/environment_facts.h"

#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>

#include <gnu/libc-version.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/version.h"
#include "launcher/ranks/child_process.h"

namespace lockstep {
namespace {

// The value behind `key` in a file of "key<separator>value" lines, "" if there is none.
std::string value_in(const char* path, const std::string& key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t at = line.find(separator);
    if (at == std::string::npos) continue;
    const size_t start = line.find_first_not_of(" \t\"", at + 1);
    const size_t end = line.find_last_not_of(" \t\"");
    if (start != std::string::npos && end >= start) return line.substr(start, end - start + 1);
  }
  return "";
}

// Those that change the bits of a result (design rule 5), of all that the processor has.
nlohmann::json instruction_sets() {
  nlohmann::json found = nlohmann::json::array();
  std::istringstream words(value_in("/proc/cpuinfo", "flags", ':'));
  for (std::string word; words >> word;) {
    for (const char* known : {"sse4_2", "avx", "fma", "avx2", "avx512f", "avx512bw", "avx512vl",
                              "avx512_bf16", "avx512_vnni", "amx_bf16"})
      if (word == known) found.push_back(word);
  }
  return found;
}

int usable_cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

// First line of `PROGRAM --version`.
std::string version_of(const std::string& program) {
  const std::string command = Command{{program, "--version"}, {}}.text() + " 2>/dev/null";
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "";
  char line[256] = "";
  if (std::fgets(line, sizeof line, pipe) == nullptr) line[0] = '\0';
  while (std::fgetc(pipe) != EOF) {
  }
  pclose(pipe);
  std::string text = line;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace

std::string environment_facts(const std::string& mpirun,
                              const std::vector<std::string>& command_line) {
  utsname system{};
  uname(&system);
  const double kibibytes = std::strtod(value_in("/proc/meminfo", "MemTotal", ':').c_str(), nullptr);
  nlohmann::ordered_json json{
      {"time", now_text()},
      {"command", Command{command_line, {}}.text()},
      {"versions",
       {{"lockstep", kVersion},
        {"libtorch", LOCKSTEP_TORCH},
        {"compiler", __VERSION__},
        {"glibc", gnu_get_libc_version()},
        {"mpi", mpirun.empty() ? "" : version_of(mpirun)}}},
      {"host", system.nodename},
      {"system", value_in("/etc/os-release", "PRETTY_NAME", '=')},
      {"kernel", std::string(system.sysname) + " " + system.release},
      {"machine", system.machine},
      {"processor", value_in("/proc/cpuinfo", "model name", ':')},
      {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
      {"usable_cores", usable_cores()},
      {"memory_gigabytes",
       static_cast<double>(static_cast<long>(kibibytes / 1048576 * 10 + 0.5)) / 10},
      {"instruction_sets", instruction_sets()},
      {"mpirun", mpirun},
  };
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace lockstep
