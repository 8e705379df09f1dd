#include "train/plan/run_plan.h"

#include <cstdlib>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/cuda_driver.h"
#include "core/files.h"
#include "data/sample_order.h"
#include "ddp/slots.h"
#include "tensor/cuda_plugin.h"

namespace lockstep {
namespace {

DeviceKind choose_device(const RunConfig& config, const Machine& machine) {
  if (config.run.device == DeviceKind::kCuda && machine.gpus == 0)
    throw EnvironmentError("run.device is cuda, and " + machine.gpu_problem, machine.gpu_help);
  const bool gpu = config.run.device != DeviceKind::kCpu && machine.gpus > 0;
  if (!gpu && config.step.graph == GraphUse::kOn)
    throw ConfigError("step.graph is on, and a CPU has no CUDA graphs", "set step.graph=auto");
  return gpu ? DeviceKind::kCuda : DeviceKind::kCpu;
}

// One rank a GPU, as many as divide the global batch; on a CPU one rank, which uses its cores by
// threads.
int64_t choose_ranks_per_node(const RunConfig& config, const Machine& machine, DeviceKind device) {
  const auto& asked = config.launch.ranks_per_node.value;
  if (device == DeviceKind::kCpu) return asked.value_or(1);
  if (asked) {
    if (*asked > machine.gpus && std::getenv("LOCKSTEP_SHARE_GPU") == nullptr)
      throw EnvironmentError(
          fmt::format("launch.ranks_per_node is {}, and this machine shows {} GPU{}", *asked,
                      machine.gpus, machine.gpus == 1 ? "" : "s"),
          fmt::format("set launch.ranks_per_node={} or auto, or run.device=cpu", machine.gpus));
    return *asked;
  }
  const int64_t rows = config.train.micro_batch.value.value_or(1) * config.launch.nodes;
  for (int64_t ranks = machine.gpus; ranks > 1; --ranks)
    if (config.train.global_batch % (ranks * rows) == 0) return ranks;
  return 1;
}

void plan_ranks(RunPlan& plan, const RunConfig& config, const Machine& machine) {
  plan.nodes = config.launch.nodes;
  plan.ranks_per_node = choose_ranks_per_node(config, machine, plan.device);
  plan.ranks = plan.nodes * plan.ranks_per_node;
  plan.with = config.launch.with;
  plan.max_restarts = config.launch.max_restarts;
  plan.timeout_seconds = config.ddp.timeout_seconds;
  if (plan.ranks > plan.slots)
    throw ConfigError(
        fmt::format("{} ranks for {} slots: some would have nothing to do", plan.ranks, plan.slots),
        fmt::format("use at most {} ranks, or a global_batch that allows ddp.slots={}", plan.slots,
                    plan.ranks));
  const int64_t slots_of_a_rank = (plan.slots + plan.ranks - 1) / plan.ranks;
  const int64_t cores_of_a_rank = std::max<int64_t>(1, machine.cores / plan.ranks_per_node);
  plan.threads_per_rank = config.launch.threads_per_rank.value.value_or(cores_of_a_rank);
  plan.threads_per_rank =
      plan.device == DeviceKind::kCpu ? std::min(plan.threads_per_rank, slots_of_a_rank) : 1;
}

void plan_batches(RunPlan& plan, const RunConfig& config) {
  const int64_t rows = plan.global_batch / plan.slots;
  if (plan.global_batch % plan.slots != 0)
    throw ConfigError(fmt::format("train.global_batch {} cannot be cut into {} slots",
                                  plan.global_batch, plan.slots),
                      "choose ddp.slots among the divisors of train.global_batch");
  plan.micro_batch = config.train.micro_batch.value.value_or(rows);
  if (plan.micro_batch > rows || rows % plan.micro_batch != 0)
    throw ConfigError(fmt::format("train.global_batch {} is not slots {} x k x micro_batch {}",
                                  plan.global_batch, plan.slots, plan.micro_batch),
                      fmt::format("micro_batch must divide the {} rows of a slot", rows));
  plan.micro_batches_per_slot = rows / plan.micro_batch;
}

void plan_length(RunPlan& plan, const RunConfig& config) {
  if (config.train.steps) plan.steps = *config.train.steps;
  if (config.train.epochs) {
    if (plan.data.train_samples == 0)
      throw ConfigError(
          "train.epochs needs the number of training samples, and data.train names none");
    plan.steps =
        SampleOrder::steps(plan.data.train_samples, *config.train.epochs, plan.global_batch);
  }
  if (plan.data.train_samples > 0)
    plan.epochs = static_cast<double>(plan.steps) * plan.global_batch / plan.data.train_samples;
}

}  // namespace

Machine probe_machine() {
  Machine machine;
  machine.cores = std::max(1u, std::thread::hardware_concurrency());
  __builtin_cpu_init();
  machine.isa = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
                    ? "avx512"
                : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "avx2"
                                                                                  : "default";
  const CudaDriver& driver = cuda_driver();
  machine.gpus = static_cast<int64_t>(driver.devices.size());
  machine.gpu_problem = driver.problem;
  machine.gpu_help = driver.help;
  if (machine.gpus > 0 && cuda_plugin_file().empty()) {
    machine.gpus = 0;
    machine.gpu_problem = "this build of Lockstep has no CUDA plug-in";
    machine.gpu_help =
        "install the CUDA 13 toolkit and run LOCKSTEP_CUDA=1 scripts/setup, or set run.device=cpu";
  }
  return machine;
}

RunPlan make_plan(const RunConfig& config, const Machine& machine, const DataFacts& data) {
  RunPlan plan;
  plan.name = config.run.name;
  plan.folder = config.run.folder;
  plan.data = data;
  plan.device = choose_device(config, machine);
  plan.isa = config.run.cpu_isa == "avx2" ? "avx2" : machine.isa;
  if (plan.isa == "avx2" && machine.isa == "default")
    throw EnvironmentError("run.cpu_isa is avx2, and this CPU does not offer AVX2");
  plan.global_batch = config.train.global_batch;
  SlotInputs slots;
  slots.global_batch = plan.global_batch;
  slots.ranks = config.launch.nodes * choose_ranks_per_node(config, machine, plan.device);
  slots.cpu = plan.device == DeviceKind::kCpu;
  if (!slots.cpu && config.train.micro_batch.value)
    slots.micro_batches =
        std::max<int64_t>(1, plan.global_batch / (slots.ranks * *config.train.micro_batch.value));
  plan.slots = choose_slots(config.ddp.slots, slots);
  plan.reduce = config.ddp.reduce;
  if (plan.reduce == Reduce::kAuto) plan.reduce = slots.cpu ? Reduce::kTree : Reduce::kAllReduce;
  plan_ranks(plan, config, machine);
  plan_batches(plan, config);
  plan_length(plan, config);
  plan.data_threads = config.data.threads.value.value_or(1);
  return plan;
}

void resolve(RunConfig& config, const RunPlan& plan) {
  if (config.ddp.slots.value.value_or(-1) != 0) config.ddp.slots = plan.slots;
  config.train.micro_batch = plan.micro_batch;
}

namespace {

// The keys of plan.json, once for writing and reading.
template <class Plan, class Visit>
void visit_plan(Plan& p, Visit visit) {
  visit("name", p.name);
  visit("folder", p.folder);
  visit("device", p.device);
  visit("isa", p.isa);
  visit("nodes", p.nodes);
  visit("ranks_per_node", p.ranks_per_node);
  visit("ranks", p.ranks);
  visit("threads_per_rank", p.threads_per_rank);
  visit("with", p.with);
  visit("max_restarts", p.max_restarts);
  visit("timeout_seconds", p.timeout_seconds);
  visit("slots", p.slots);
  visit("global_batch", p.global_batch);
  visit("micro_batch", p.micro_batch);
  visit("micro_batches_per_slot", p.micro_batches_per_slot);
  visit("reduce", p.reduce);
  visit("steps", p.steps);
  visit("dry_run", p.dry_run);
  visit("epochs", p.epochs);
  visit("data_threads", p.data_threads);
  visit("train_samples", p.data.train_samples);
  visit("validation_samples", p.data.validation_samples);
  visit("train_hash", p.data.train_hash);
  visit("parameters", p.parameters);
  visit("checkpoint_bytes", p.checkpoint_bytes);
  visit("optimizer_bytes", p.optimizer_bytes);
  visit("optimizer_bytes_a_rank", p.optimizer_bytes_a_rank);
  visit("notes", p.notes);
  visit("config_hash", p.config_hash);
}

// Keys that plans of older runs lack.
template <class Plan, class Visit>
void visit_newer(Plan& p, Visit visit) {
  visit("update_implementation", p.update_implementation);
  visit("update_reason", p.update_reason);
}

}  // namespace

nlohmann::ordered_json to_json(const RunPlan& plan) {
  nlohmann::ordered_json json = {{"version", 1}};
  visit_plan(plan, [&](const char* key, const auto& value) { json[key] = value; });
  visit_newer(plan, [&](const char* key, const auto& value) { json[key] = value; });
  return json;
}

RunPlan plan_from_json(const std::string& text, const std::string& file) {
  RunPlan plan;
  try {
    const auto json = nlohmann::json::parse(text);
    visit_plan(plan, [&](const char* key, auto& value) { json.at(key).get_to(value); });
    visit_newer(plan, [&](const char* key, auto& value) {
      if (json.contains(key)) json.at(key).get_to(value);
    });
  } catch (const ConfigError& error) {
    throw DataError("not a plan: " + error.fact(), error.help(), {file, 0, 0, ""});
  } catch (const nlohmann::json::exception& error) {
    throw DataError(std::string("not a plan: ") + error.what(),
                    "start the run again with `lockstep train`", {file, 0, 0, ""});
  }
  return plan;
}

void keep_in_plan(const std::filesystem::path& file, const std::string& update_implementation,
                  const std::string& update_reason) {
  auto json = nlohmann::ordered_json::parse(read_file(file, 64 << 20), nullptr, false);
  if (!json.is_object())
    throw DataError("not a plan", "start the run again with `lockstep train`",
                    {file.string(), 0, 0, ""});
  json["update_implementation"] = update_implementation;
  json["update_reason"] = update_reason;
  write_file_atomic(file, json.dump() + "\n");
}

namespace {

std::string megabytes(int64_t bytes) {
  return bytes < 10'000'000 ? fmt::format("{:.2f} MB", bytes / 1e6)
                            : fmt::format("{:.0f} MB", bytes / 1e6);
}

}  // namespace

std::string explain(const RunPlan& p, const RunConfig& config) {
  std::string out;
  const auto line = [&](const std::string& key, const std::string& value) {
    out += fmt::format("{:<14}{}\n", key, value);
  };
  line("run", fmt::format("{} in {}/{}, seed {}", p.name, p.folder, p.name, config.run.seed));
  line("task", fmt::format("{}, {} parameters", config.task.kind, p.parameters));
  line("device", fmt::format("{} ({}), compute in {}", word_of(p.device), p.isa,
                             word_of(config.precision.compute)));
  line("ranks", fmt::format("{} on {} node{}, {} slot thread{} each", p.ranks, p.nodes,
                            p.nodes == 1 ? "" : "s", p.threads_per_rank,
                            p.threads_per_rank == 1 ? "" : "s"));
  line("batch", fmt::format("{} rows = {} slots x {} micro-batch{} x {} rows", p.global_batch,
                            p.slots, p.micro_batches_per_slot,
                            p.micro_batches_per_slot == 1 ? "" : "es", p.micro_batch));
  line("length", fmt::format("{} steps = {:.2f} epochs of {} samples", p.steps, p.epochs,
                             p.data.train_samples));
  line("gradients", fmt::format("reduced by {}, {} MiB buckets, overlap {}", word_of(p.reduce),
                                config.ddp.bucket_megabytes, config.ddp.overlap ? "on" : "off"));
  line("optimizer",
       fmt::format("{}, schedule {}, clip {}, EMA {}", config.optimizer.kind, config.schedule.kind,
                   config.train.clip_norm, config.train.ema.decay));
  if (config.ddp.shard_optimizer)
    line("sharding",
         fmt::format("the optimizer's {} over {} rank{}: at most {} each, {} saved a rank",
                     megabytes(p.optimizer_bytes), p.ranks, p.ranks == 1 ? "" : "s",
                     megabytes(p.optimizer_bytes_a_rank),
                     megabytes(p.optimizer_bytes - p.optimizer_bytes_a_rank)));
  const int64_t slots_of_a_rank = (p.slots + p.ranks - 1) / p.ranks;
  const int64_t copies =
      1 + (config.train.ema.decay > 0 ? 1 : 0) + slots_of_a_rank;  // weights, EMA, gradients
  line("memory", fmt::format("about {} of weights, gradients and states a rank, beside activations",
                             megabytes(copies * p.parameters * 4 + p.optimizer_bytes_a_rank)));
  line("checkpoints", fmt::format("{} every {} steps, {} kept", megabytes(p.checkpoint_bytes),
                                  config.checkpoint.every_steps, config.checkpoint.keep));
  for (const std::string& note : p.notes) line("note", note);
  line("config hash", p.config_hash);
  return out;
}

}  // namespace lockstep
