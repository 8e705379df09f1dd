// All tables of kinds in one place: what a config may name, built in or added by a plug-in.
//
// A user's own shared library (`run.plugins: [libmine.so]`) exports
//     extern "C" void lockstep_plugin(int abi, lockstep::Kinds* kinds);
// and adds rows to these tables before the config is read; its options get strict YAML, help,
// schema and checkpoints like the built-in ones.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/kinds.h"
#include "data/datasets.h"
#include "optim/optimizers.h"
#include "optim/schedules.h"
#include "tasks/tasks.h"
#include "train/plan/data_makers.h"

namespace lockstep {

// Raised whenever a class that plug-ins see changes.
inline constexpr int kPluginAbi = 4;

struct Kinds {
  TaskTable tasks;
  KindList evaluations;
  DatasetTable datasets;
  DataMakerTable makers;
  Table<Optimizer, const ShardLayout&> optimizers;
  Table<Schedule> schedules;
};

// The tables of this version. Plug-ins named by `plugins` are opened with dlopen and stay open.
// Throws EnvironmentError if one cannot be opened or was built for another ABI.
std::unique_ptr<Kinds> make_kinds(const std::vector<std::string>& plugins = {});

}  // namespace lockstep
