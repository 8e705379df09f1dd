#include "train/plan/run_config.h"

#include <fmt/format.h>

#include "core/files.h"
#include "models/diffusion/samplers.h"
#include "train/plan/profile_steps.h"

namespace lockstep {

void RunOptions::fields(FieldVisitor& visit) {
  visit("name", name, "name of the run; its folder is FOLDER/NAME/DATE-TIME");
  visit("folder", folder, "where run folders go");
  visit("seed", seed, Range{0, 9e15}, "seed of everything random: order, masks, initial weights");
  visit_word(visit, "device", device, "what computes");
  visit("cpu_isa", cpu_isa, OneOf{{"native", "avx2"}},
        "avx2 gives the same bits on all x86-64 CPUs since 2013");
  visit("plugins", plugins, "shared libraries that add kinds to the tables");
}

void InitOptions::fields(FieldVisitor& visit) {
  visit(
      "from", from,
      "run folder, checkpoint folder or .safetensors to take weights from; empty = fresh weights");
  visit("parts", parts, "what to take: model, ema (into the weights), optimizer");
  visit("map", map, "OLD=NEW: prefixes of tensor names to rename");
  visit("strict", strict,
        "true: every tensor must be taken; false: what does not fit stays fresh, and is listed");
}

void LaunchOptions::fields(FieldVisitor& visit) {
  visit("nodes", nodes, Range{1, 4096}, "machines");
  visit("ranks_per_node", ranks_per_node, Range{1, 1024},
        "worker processes a machine; auto: 1 on CPU");
  visit("threads_per_rank", threads_per_rank, Range{1, 1024},
        "slots that run at once in a rank; auto: cores / ranks");
  visit("with", with, OneOf{{"auto", "mpirun", "srun", "local", "env"}}, "what starts the ranks");
  visit("max_restarts", max_restarts, Range{0, 1000}, "restarts after a rank died");
}

void PrecisionOptions::fields(FieldVisitor& visit) {
  visit_word(visit, "compute", compute,
             "dtype of forward and backward; *_weights: low-precision copies of fp32 weights");
  visit("tf32", tf32, "on GPUs: products of float32 rounded to TF32, faster");
  visit("loss_scale", loss_scale, "dynamic loss scale of the fp16 kinds");
}

void StepOptions::fields(FieldVisitor& visit) {
  visit_word(visit, "graph", graph, "the whole step as one CUDA graph; CPUs have none");
}

void DataOptions::fields(FieldVisitor& visit) {
  visit("kind", kind, OneOf{known_kinds}, "kind of dataset");
  visit("train", train, "patterns of shards to train on");
  visit("validation", validation, "patterns of shards to evaluate on");
  visit("threads", threads, Range{1, 256}, "loader threads a rank; auto: 1");
  visit("prefetch_batches", prefetch_batches, Range{1, 1024}, "micro-batches read ahead");
  visit("make", make, "how to make the files if they are missing");
}

void TrainOptions::fields(FieldVisitor& visit) {
  visit("steps", steps, Range{1, 1e12}, "steps to train; or give epochs");
  visit("epochs", epochs, above(0), "epochs to train; or give steps");
  visit("global_batch", global_batch, Range{1, 1e9}, "rows a step, over all ranks");
  visit("micro_batch", micro_batch, Range{1, 1e9}, "rows a forward sees; auto: a whole slot");
  visit("clip_norm", clip_norm, at_least(0), "largest norm of the gradient; 0 = no clipping");
  visit("ema", ema, "moving average of the weights");
}

void CheckpointOptions::fields(FieldVisitor& visit) {
  visit("every_steps", every_steps, at_least(0),
        "steps between checkpoints; 0 = only at the end and on a stop");
  visit("keep", keep, at_least(1), "newest checkpoints to keep");
  visit("keep_best", keep_best, "score whose best checkpoint is kept as well; empty = none");
  visit("asynchronous", asynchronous, "write while training goes on");
}

void LogOptions::fields(FieldVisitor& visit) {
  visit("every_steps", every_steps, at_least(1), "steps between lines of metrics.jsonl");
  visit("profile_steps", profile_steps,
        "steps to profile: 5 (after three) or 100-104; empty = none");
  visit("style", style, OneOf{{"lockstep", "seed", "seed_sweep"}},
        "form of the lines on stderr; docs/sweeps.md");
  visit("every_epochs", every_epochs, at_least(1), "epochs between lines of style seed");
}

RunConfig::RunConfig(const Kinds& kinds)
    : task(kinds.tasks, kinds.tasks.rows().front().name),
      optimizer(kinds.optimizers, "adamw"),
      schedule(kinds.schedules, "constant"),
      sampler(sampler_kinds(), "ddim"),
      kinds_(&kinds) {
  data.make = Choice(kinds.makers, "none");
  for (const Kind& kind : kinds.datasets.rows()) data.known_kinds.push_back(kind.name);
}

void RunConfig::fields(FieldVisitor& visit) {
  visit("run", run, "the run: name, seed, device");
  visit("init", init, "weights to start from");
  visit("launch", launch, "how ranks are started");
  visit("ddp", ddp, "how ranks exchange gradients");
  visit("precision", precision, "number formats");
  visit("step", step, "how a step is executed");
  visit("data", data, "where samples come from");
  visit("task", task, "what is trained");
  visit("optimizer", optimizer, "how weights are updated");
  visit("schedule", schedule, "learning rate over time");
  visit("sampler", sampler, "how `lockstep sample` draws images");
  visit("train", train, "length and batch of the training");
  visit("checkpoint", checkpoint, "when states are saved");
  visit("evaluate", evaluate, kinds_->evaluations, "scores and pictures at intervals");
  visit("log", log, "what is written down, how often");
}

namespace {

// What spans several fields. Places are those of the section's key, found by `sources`.
void check_together(const RunConfig& c) {
  if (c.train.steps && c.train.epochs)
    throw ConfigError("train.steps and train.epochs are both given", "keep one of them");
  for (const std::string& part : c.init.parts)
    if (part != "model" && part != "ema" && part != "optimizer")
      throw ConfigError("init.parts names an unknown part '" + part + "'",
                        "parts are model, ema, optimizer");
  for (const std::string& rule : c.init.map)
    if (rule.find('=') == std::string::npos)
      throw ConfigError("init.map entry '" + rule + "' has no '='", "write OLD=NEW");
  parse_profile_steps(c.log.profile_steps, 0);
  if (!c.checkpoint.keep_best.empty() && c.evaluate.empty())
    throw ConfigError(
        "checkpoint.keep_best is '" + c.checkpoint.keep_best + "', and nothing is evaluated",
        "name an evaluation that gives this score in the evaluate list");
  if (c.train.ema.decay >= 1)
    throw ConfigError("train.ema.decay is 1: the average would never move");
}

// Plug-ins must be open before kinds are read, so their list is looked up in the raw tree.
std::vector<std::string> plugins_of(const Node& root) {
  std::vector<std::string> out;
  const Node* run = root.find("run");
  const Node* list = run != nullptr ? run->find("plugins") : nullptr;
  if (list == nullptr) return out;
  for (const Node& item : list->items) out.push_back(item.scalar);
  return out;
}

}  // namespace

LoadedConfig load_config(const std::string& path, const std::vector<std::string>& overrides) {
  Node root;
  root.type = Node::Type::kMap;
  if (path != "-") root = parse_yaml_file(path);
  apply_overrides(root, overrides);
  LoadedConfig loaded;
  loaded.kinds = make_kinds(plugins_of(root));
  loaded.config = std::make_unique<RunConfig>(*loaded.kinds);
  read_fields(root, *loaded.config, "", &loaded.sources);
  with_place_of_keys(loaded.sources, path, [&] { check_together(*loaded.config); });
  return loaded;
}

namespace {

// The place of the first key among the words of `text` that the config or the command line gives.
std::optional<Place> place_of_key_in(const Sources& sources, const std::string& text) {
  const auto in_key = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.'; };
  for (size_t begin = 0; begin < text.size(); ++begin) {
    if (!in_key(text[begin])) continue;
    size_t end = begin;
    while (end < text.size() && in_key(text[end])) ++end;
    std::string key = text.substr(begin, end - begin);
    while (key.ends_with('.')) key.pop_back();
    begin = end;
    const auto found = sources.find(key);
    if (found == sources.end() || found->second == "default") continue;
    static const std::string kCommandLine = "command line: ";
    if (found->second.starts_with(kCommandLine))
      return Place{"command line", 0, 1, found->second.substr(kCommandLine.size())};
    const size_t colon = found->second.rfind(':');
    return Place{found->second.substr(0, colon), std::atoi(found->second.c_str() + colon + 1), 0,
                 ""};
  }
  return std::nullopt;
}

}  // namespace

Place place_of_keys(const Sources& sources, const Error& error, const std::string& path) {
  if (const auto place = place_of_key_in(sources, error.fact())) return *place;
  for (const std::string& context : error.context())
    if (const auto place = place_of_key_in(sources, context)) return *place;
  if (error.code() == ExitCode::kUsage && path != "-") return {path, 0, 0, ""};
  return {};
}

std::unique_ptr<Dataset> open_data(const Kinds& kinds, const RunConfig& config,
                                   const std::vector<std::string>& patterns) {
  return kinds.datasets.make(Choice(kinds.datasets, config.data.kind), patterns);
}

}  // namespace lockstep
