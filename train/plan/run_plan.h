// The RunPlan: everything that follows from the config, the machine and the size of the data.
//
// A pure function, so that `lockstep plan` can tell what would happen on any machine and so that
// all ranks agree. The launcher reads it as JSON and knows nothing else of the config.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "train/plan/run_config.h"

namespace lockstep {

// What the plan needs to know of the machine; probed once or given on the command line.
struct Machine {
  int64_t cores = 1;
  int64_t gpus = 0;         // that this build can use
  std::string gpu_problem;  // why there are none; "" if there are
  std::string gpu_help;
  std::string isa;  // what the CPU offers: "avx512", "avx2", "default"
};
Machine probe_machine();

// What the plan needs to know of the data (0 where the config names none).
struct DataFacts {
  int64_t train_samples = 0;
  int64_t validation_samples = 0;
  std::string train_hash;
};

struct RunPlan {
  std::string name, folder;
  DeviceKind device = DeviceKind::kCpu;
  std::string isa;
  int64_t nodes = 1, ranks_per_node = 1, ranks = 1, threads_per_rank = 1;
  std::string with = "auto";
  int64_t max_restarts = 0;
  double timeout_seconds = 600;

  int64_t slots = 1;                   // S
  int64_t global_batch = 1;            // B rows a step
  int64_t micro_batch = 1;             // rows a forward sees
  int64_t micro_batches_per_slot = 1;  // k
  Reduce reduce = Reduce::kTree;
  int64_t steps = 0;
  int64_t dry_run = 0;  // 1: --dry-run, so that lists can tell it from a run
  double epochs = 0;    // steps · B / N
  int64_t data_threads = 1;
  DataFacts data;
  std::string update_implementation;  // what optimizer.implementation=auto has chosen on a GPU; "":
                                      // nothing yet
  std::string update_reason;          // … and why, with the figures
  std::vector<std::string> notes;     // what the machine does without (fallbacks.h)
  std::string config_hash;
  int64_t parameters = 0;  // filled where a model was made
  int64_t checkpoint_bytes = 0;
  int64_t optimizer_bytes = 0;         // state of the optimizer, whole
  int64_t optimizer_bytes_a_rank = 0;  // what a rank holds of it, at most (design rule 8)

  int64_t rows_per_slot() const { return global_batch / slots; }
};

// Throws ConfigError where sections do not fit together (global_batch ≠ slots × k × micro_batch,
// more ranks than slots, unknown device …).
RunPlan make_plan(const RunConfig& config, const Machine& machine, const DataFacts& data);

// Puts the plan's decisions into the config (slots, micro_batch, steps stay as given), so that a
// resumed run keeps them.
void resolve(RunConfig& config, const RunPlan& plan);

nlohmann::ordered_json to_json(const RunPlan& plan);
// Reads what to_json wrote (plan.json of a run folder), also of a program that wrote less. Throws
// DataError naming `file`.
RunPlan plan_from_json(const std::string& text, const std::string& file);
// Writes what was chosen for the optimizer's updates into a run's plan.json.
void keep_in_plan(const std::filesystem::path& file, const std::string& update_implementation,
                  const std::string& update_reason);
// The text of `lockstep plan`.
std::string explain(const RunPlan& plan, const RunConfig& config);

}  // namespace lockstep
