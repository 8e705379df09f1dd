#include "ddp/mpi_plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

namespace lockstep {

namespace {

// The folder that holds this code, that is liblockstep.so.
std::filesystem::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&make_mpi_communicator), &info) == 0 ||
      info.dli_fname == nullptr)
    return {};
  return std::filesystem::path(info.dli_fname).parent_path();
}

constexpr const char* kHelp =
    "install Open MPI (Debian: openmpi-bin libopenmpi-dev) and build again, or run "
    "`scripts/setup`; one rank needs "
    "no MPI";

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(double timeout_seconds) {
  const std::filesystem::path path = own_folder() / "liblockstep_mpi.so";
  // Global, because Open MPI opens components of its own that look for libmpi's symbols. Never
  // closed: libmpi does not survive that.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr)
    throw EnvironmentError(fmt::format("MPI cannot be used: {}", dlerror()), kHelp);
  const auto make = reinterpret_cast<MpiPluginMake>(dlsym(library, "lockstep_mpi_make"));
  if (make == nullptr)
    throw EnvironmentError(fmt::format("{} is not Lockstep's MPI plug-in", path.string()), kHelp);
  std::unique_ptr<Communicator> comm(make(kMpiPluginAbi, timeout_seconds));
  if (comm == nullptr)
    throw EnvironmentError(
        fmt::format("{} was built for another version of Lockstep", path.string()),
        "build it again: cmake --build build");
  return comm;
}

}  // namespace lockstep
