// Everything that can go wrong before a rank starts is found here: missing or wrong data, sections
// that do not fit together, weights and evaluations that the task refuses. A resumed run is
// compared with what it started with.
#include "train/prepare.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/log.h"
#include "ddp/shard_layout.h"
#include "train/evaluate/evaluation_plan.h"
#include "train/fallbacks.h"
#include "train/plan/identity.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

void make_missing_data(const RunConfig& config, const Kinds& kinds) {
  if (!files_are_missing(config.data.train) && !files_are_missing(config.data.validation)) return;
  if (config.data.make.kind == "none") return;  // opening them will say which file is missing
  const auto maker = kinds.makers.make(config.data.make);
  log_info("making the data: " + maker->describe());
  with_context("making the data (data.make)", [&] { maker->make(); });
}

// A plan counts samples, so it needs the files; without data.make opening them says which one is
// missing.
void expect_made_data(const RunConfig& config) {
  const auto& make = config.data.make;
  if (make.kind == "none" ||
      (!files_are_missing(config.data.train) && !files_are_missing(config.data.validation)))
    return;
  throw DataError(
      "the data of this config are not made yet (data.make: " + make.kind + ")",
      "`lockstep train` makes them first, and so does `lockstep plan CONFIG --prepare`");
}

DataFacts look_at_data(const RunConfig& config, const Kinds& kinds) {
  DataFacts facts;
  if (!config.data.train.empty()) {
    const auto train = with_context("opening data.train",
                                    [&] { return open_data(kinds, config, config.data.train); });
    kinds.tasks.make(config.task)->check(*train);  // before any rank is started
    facts.train_samples = train->size();
    facts.train_hash = train->content_hash();
  }
  if (!config.data.validation.empty())
    facts.validation_samples = with_context("opening data.validation", [&] {
                                 return open_data(kinds, config, config.data.validation);
                               })->size();
  return facts;
}

// Parameters and bytes, from a model made for counting and an optimizer that owns nothing of it.
// For a new run also what the task takes from files, so that one that does not fit is an error
// before ranks start.
void count_parameters(RunPlan& plan, const RunConfig& config, const Kinds& kinds, bool new_run) {
  const auto task = kinds.tasks.make(config.task);
  const auto model = task->make_model(static_cast<uint64_t>(config.run.seed));
  if (new_run) task->initialise(*model);
  const ArenaLayout layout = ArenaLayout::of(model->parameters());
  for (const ArenaEntry& entry : layout.entries) plan.parameters += entry.count;
  const auto blocks = static_cast<int>(layout.num_blocks());
  const int64_t states =
      kinds.optimizers.make(config.optimizer, ShardLayout(layout, blocks + 1, blocks))
          ->num_states();
  const ShardLayout shard(layout, config.ddp.shard_optimizer ? static_cast<int>(plan.ranks) : 1, 0);
  plan.optimizer_bytes = states * layout.size * 4;
  plan.optimizer_bytes_a_rank = states * shard.num_elements(0) * 4;
  const int64_t copies = 1 + states + (config.train.ema.decay > 0 ? 1 : 0);
  plan.checkpoint_bytes = copies * plan.parameters * 4;
}

Prepared finish(LoadedConfig loaded, const PrepareOptions& options, bool new_run) {
  Prepared prepared;
  prepared.loaded = std::move(loaded);
  RunConfig& config = *prepared.loaded.config;
  if (config.data.train.empty())
    throw ConfigError("data.train names no files",
                      "give the shards to train on: data.train=[datasets/train-*.h5]");
  if (!config.train.steps && !config.train.epochs)
    throw ConfigError("neither train.steps nor train.epochs is given",
                      "say how long to train: train.steps=1000");
  if (options.make_data)
    make_missing_data(config, *prepared.loaded.kinds);
  else if (new_run)
    expect_made_data(config);
  prepared.plan = make_plan(config, options.machine.value_or(probe_machine()),
                            look_at_data(config, *prepared.loaded.kinds));
  if (new_run)
    prepared.plan.notes = fallbacks(prepared.loaded, prepared.plan, probe_cpu_abilities());
  count_parameters(prepared.plan, config, *prepared.loaded.kinds, new_run);
  const std::vector<std::string> notes = check_evaluations(config, *prepared.loaded.kinds);
  if (new_run) prepared.plan.notes.insert(prepared.plan.notes.end(), notes.begin(), notes.end());
  resolve(config, prepared.plan);
  prepared.plan.config_hash = config_hash(config);
  if (options.dry_run_steps) {
    prepared.plan.steps = std::min(prepared.plan.steps, *options.dry_run_steps);
    prepared.plan.dry_run = 1;
  }
  prepared.config_yaml =
      print_yaml([&](FieldVisitor& v) { config.fields(v); }, &prepared.loaded.sources);
  return prepared;
}

}  // namespace

Prepared prepare_run(const std::string& config_path, const std::vector<std::string>& overrides,
                     const PrepareOptions& options) {
  LoadedConfig loaded = load_config(config_path, overrides);
  const Sources sources = loaded.sources;
  return with_place_of_keys(sources, config_path, [&] {
    const std::string& from = loaded.config->init.from;
    if (!from.empty() && !fs::exists(from))
      throw ConfigError("init.from names nothing that exists: " + from,
                        "give a run folder, a checkpoint or a .safetensors file");
    return finish(std::move(loaded), options, /*new_run=*/true);
  });
}

Prepared prepare_resume(const RunFolder& folder, const std::vector<std::string>& overrides,
                        const PrepareOptions& options) {
  if (!folder.holds_run())
    throw ConfigError(folder.root.string() + " holds no run",
                      "give the folder that `train` printed as run folder");
  const std::string path = folder.config().string();
  LoadedConfig before = load_config(path, {});
  LoadedConfig after = load_config(path, overrides);
  std::string refused;
  for (const std::string& difference :
       differences_of_identity(identity_json(*before.config), identity_json(*after.config)))
    refused += "\n  " + difference;
  if (!refused.empty()) {
    std::string command = "lockstep train " + path + " init.from=" + folder.root.string();
    for (const std::string& override_text : overrides) command += " '" + override_text + "'";
    throw ConfigError("a resumed run cannot change what decides its results:" + refused,
                      "start a new run from its weights: " + command);
  }
  PrepareOptions resume_options = options;
  const Sources sources = after.sources;
  Prepared prepared = with_place_of_keys(
      sources, path, [&] { return finish(std::move(after), resume_options, /*new_run=*/false); });
  const auto old_plan = nlohmann::json::parse(read_file(folder.plan(), 16 << 20), nullptr, false);
  if (old_plan.is_object() && old_plan.value("train_hash", "") != prepared.plan.data.train_hash)
    throw DataError("the training data are not those the run started with",
                    "restore the shards (lockstep data verify), or start a new run",
                    {folder.plan().string(), 0, 0, ""});
  // What was measured when the run began stays.
  if (old_plan.is_object() && old_plan.value("device", "") == word_of(prepared.plan.device)) {
    prepared.plan.update_implementation = old_plan.value("update_implementation", "");
    prepared.plan.update_reason = old_plan.value("update_reason", "");
  }
  return prepared;
}

std::string plan_line(const Prepared& prepared, const std::string& run_folder) {
  Json json = to_json(prepared.plan);
  json["run_folder"] = run_folder;
  json["config_yaml"] = prepared.config_yaml;
  json["explain"] = explain(prepared.plan, *prepared.loaded.config);
  return json.dump();
}

}  // namespace lockstep
