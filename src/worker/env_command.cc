// `env`: versions and machine, to paste into a bug report.
#include <cstdio>

#include <torch/version.h>
#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "core/version.h"
#include "ddp/mpi_plugin.h"
#include "train/run_plan.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {

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
      {"isa", machine.isa},            {"mpi_plugin", mpi_plugin_description()},
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
