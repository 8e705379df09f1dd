// `env`: versions and machine, to paste into a bug report.
#include <cstdio>
#include <filesystem>

#include <dlfcn.h>
#include <sys/utsname.h>
#include <torch/version.h>

#include <nlohmann/json.hpp>

#include "core/version.h"
#include "train/run_plan.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {

namespace {

// Whether ranks can be started by MPI: the plug-in lies beside liblockstep.so.
std::string mpi_plugin() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&probe_machine), &info) == 0) return "unknown";
  const std::filesystem::path path = std::filesystem::path(info.dli_fname).parent_path() / "liblockstep_mpi.so";
  return std::filesystem::exists(path) ? "installed" : "not installed: runs have one rank";
}

}  // namespace

int env_command(const Words& words) {
  const Arguments arguments(words, {{"--json"}});
  arguments.no_positionals();
  arguments.no_overrides();
  const Machine machine = probe_machine();
  utsname system{};
  uname(&system);
  const nlohmann::ordered_json json = {
      {"lockstep", kVersion},          {"libtorch", TORCH_VERSION},
      {"compiler", __VERSION__},       {"system", std::string(system.sysname) + " " + system.release},
      {"processor", system.machine},   {"cores", machine.cores},
      {"isa", machine.isa},            {"mpi_plugin", mpi_plugin()},
      {"cuda_plugin", "not in this build"}};
  if (arguments.has("--json")) {
    std::puts(json.dump().c_str());
    return 0;
  }
  for (const auto& [key, value] : json.items())
    std::printf("%-12s %s\n", key.c_str(), value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
  return 0;
}

}  // namespace lockstep
