#include "tensor/cuda_plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr const char* kHelp =
    "on a machine with the CUDA 13 toolkit run LOCKSTEP_CUDA=1 scripts/setup and build again, or "
    "set run.device=cpu";

// The one allowed process-wide object: the plug-in's handle.
void* library = nullptr;

std::filesystem::path beside_this_library() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&cuda_plugin_file), &info) == 0 ||
      info.dli_fname == nullptr)
    return {};
  return std::filesystem::path(info.dli_fname).parent_path() / "liblockstep_cuda.so";
}

}  // namespace

std::string cuda_plugin_file() {
  if (const char* named = std::getenv("LOCKSTEP_CUDA_PLUGIN")) return named;
  const std::filesystem::path path = beside_this_library();
  std::error_code none;
  return std::filesystem::exists(path, none) ? path.string() : "";
}

bool cuda_plugin_is_open() { return library != nullptr; }

void open_cuda_plugin() {
  if (library != nullptr) return;
  const std::string path = cuda_plugin_file();
  if (path.empty())
    throw EnvironmentError("this build of Lockstep has no CUDA plug-in (liblockstep_cuda.so)",
                           kHelp);
  void* opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr)
    throw EnvironmentError(fmt::format("the CUDA plug-in cannot be loaded: {}", dlerror()), kHelp);
  library = opened;
  try {
    cuda_parts_of("tensor");
  } catch (const Error&) {
    library = nullptr;
    throw;
  }
}

const void* cuda_parts_of(const char* folder, int abi) {
  if (library == nullptr)
    throw EnvironmentError("the CUDA plug-in is not open: this command was not started for a GPU",
                           "set run.device=cuda");
  using Export = const void* (*)(int abi);
  const std::string symbol = fmt::format("lockstep_{}_cuda", folder);
  const auto get = reinterpret_cast<Export>(dlsym(library, symbol.c_str()));
  const void* parts = get == nullptr ? nullptr : get(abi);
  if (parts == nullptr)
    throw EnvironmentError(
        fmt::format("{} was built for another version of Lockstep", cuda_plugin_file()),
        "build it again: scripts/lockstep does");
  return parts;
}

}  // namespace lockstep
