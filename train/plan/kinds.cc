#include "train/plan/kinds.h"

#include <dlfcn.h>

#include "core/errors.h"

namespace lockstep {
namespace {

void add_plugin(const std::string& path, Kinds& kinds) {
  // Never closed: rows of the tables point into it.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throw EnvironmentError(
        "cannot open the plug-in " + path + ": " + dlerror(),
        "run.plugins takes paths of shared libraries built against liblockstep.so");
  using Register = void (*)(int abi, Kinds* kinds);
  const auto add = reinterpret_cast<Register>(dlsym(library, "lockstep_plugin"));
  if (add == nullptr)
    throw EnvironmentError(path + " exports no lockstep_plugin",
                           "see docs/plugins.md for the one function it needs");
  with_context("loading the plug-in " + path, [&] { add(kPluginAbi, &kinds); });
}

}  // namespace

std::unique_ptr<Kinds> make_kinds(const std::vector<std::string>& plugins) {
  auto kinds = std::unique_ptr<Kinds>(new Kinds{task_kinds(), evaluation_kinds(), dataset_kinds(),
                                                built_in_data_makers(), lockstep::optimizers(),
                                                lockstep::schedules()});
  for (const std::string& path : plugins) add_plugin(path, *kinds);
  return kinds;
}

}  // namespace lockstep
