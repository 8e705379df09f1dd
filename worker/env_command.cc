// `env`: versions and machine, to paste into a bug report.
#include <cstdio>
#include <filesystem>

#include <dlfcn.h>
#include <sys/utsname.h>
#include <torch/version.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/cuda_driver.h"
#include "core/version.h"
#include "tensor/cuda_plugin.h"
#include "train/plan/run_plan.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {

namespace {

// Whether ranks can be started by MPI: the plug-in lies beside liblockstep.so.
std::string mpi_plugin() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&probe_machine), &info) == 0) return "unknown";
  const std::filesystem::path path =
      std::filesystem::path(info.dli_fname).parent_path() / "liblockstep_mpi.so";
  return std::filesystem::exists(path) ? "installed" : "not installed: runs have one rank";
}

}  // namespace

namespace {

std::string gpus(const CudaDriver& driver) {
  std::string text;
  for (const CudaDevice& device : driver.devices)
    text += fmt::format("{}{} ({} GiB, sm_{}{}, {})", text.empty() ? "" : "; ", device.name,
                        device.memory_bytes >> 30, device.major, device.minor, device.pci);
  return text.empty() ? "none" : text;
}

}  // namespace

int env_command(const Words& words) {
  const Arguments arguments(words, {{"--json"}});
  arguments.no_positionals();
  arguments.no_overrides();
  const Machine machine = probe_machine();
  const CudaDriver& driver = cuda_driver();
  utsname system{};
  uname(&system);
  const nlohmann::ordered_json json = {
      {"lockstep", kVersion},
      {"libtorch", TORCH_VERSION},
      {"compiler", __VERSION__},
      {"system", std::string(system.sysname) + " " + system.release},
      {"processor", system.machine},
      {"cores", machine.cores},
      {"isa", machine.isa},
      {"mpi_plugin", mpi_plugin()},
      {"cuda_plugin", cuda_plugin_file().empty() ? "not in this build" : "installed"},
      {"driver", driver.version == 0 ? driver.problem
                                     : fmt::format("CUDA {}.{}", driver.version / 1000,
                                                   driver.version % 1000 / 10)},
      {"gpus", gpus(driver)}};
  if (arguments.has("--json")) {
    std::puts(json.dump().c_str());
    return 0;
  }
  for (const auto& [key, value] : json.items())
    std::printf("%-12s %s\n", key.c_str(),
                value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
  return 0;
}

}  // namespace lockstep
