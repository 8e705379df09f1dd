// Writes, verifies and removes checkpoints. What makes one complete is its final name: files and
// folders are synced before the rename, so a crash at any point leaves the older ones intact. A
// failed write never ends the training; only the last checkpoint of a run must be on disk.
#include "train/checkpoint.h"

#include <algorithm>
#include <ctime>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/log.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kManifest = kCheckpointManifest;
constexpr const char* kOptimizerFile = kCheckpointOptimizer;

Json to_json(const TrainState& s) {
  Json json = {
      {"version", 1},
      {"step", s.step},
      {"updates", s.updates},
      {"skipped_in_a_row", s.skipped_in_a_row},
      {"seed", s.seed},
      {"slots", s.slots},
      {"isa", s.isa},
      {"config_hash", s.config_hash},
      {"train_hash", s.train_hash},
      {"best_score", nullptr},
      {"best_step", s.best_step},
      {"loss_scale", {{"scale", s.loss_scale.scale}, {"good_steps", s.loss_scale.good_steps}}}};
  if (s.best_score) json["best_score"] = *s.best_score;
  if (!s.identity.empty()) json["config"] = Json::parse(s.identity);
  return json;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

// Replaces the symbolic link in one step.
void point_latest(const RunFolder& folder, const std::string& target) {
  const fs::path temporary = folder.checkpoints() / ".latest";
  fs::remove(temporary);
  fs::create_symlink(target, temporary);
  fs::rename(temporary, folder.latest());
  sync_path(folder.checkpoints());
}

}  // namespace

TrainState load_state(const fs::path& checkpoint) {
  return reading_checkpoint(checkpoint, [&] {
    const Json json = read_checkpoint_json(checkpoint / "state.json");
    if (json.value("version", 0) != 1)
      throw CheckpointError("state.json has an unknown version", "",
                            {checkpoint.string(), 0, 0, ""});
    TrainState s;
    s.step = json.at("step");
    s.updates = json.at("updates");
    s.skipped_in_a_row = json.at("skipped_in_a_row");
    s.seed = json.at("seed");
    s.slots = json.at("slots");
    s.isa = json.at("isa");
    s.config_hash = json.at("config_hash");
    s.train_hash = json.at("train_hash");
    if (json.contains("config")) s.identity = json.at("config").dump();
    if (!json.at("best_score").is_null()) s.best_score = json.at("best_score").get<double>();
    s.best_step = json.at("best_step");
    const Json& loss_scale = json.at("loss_scale");
    s.loss_scale = {loss_scale.at("scale").get<double>(),
                    loss_scale.at("good_steps").get<int64_t>()};
    return s;
  });
}

CheckpointContent load_checkpoint(const fs::path& checkpoint) {
  verify_checkpoint(checkpoint);
  return reading_checkpoint(checkpoint, [&] {
    CheckpointContent content;
    content.state = load_state(checkpoint);
    content.model = load_safetensors(checkpoint / "model.safetensors");
    content.optimizer = load_safetensors(checkpoint / kOptimizerFile);
    if (fs::exists(checkpoint / "ema.safetensors"))
      content.ema = load_safetensors(checkpoint / "ema.safetensors");
    return content;
  });
}

CheckpointWriter::CheckpointWriter(RunFolder folder, const CheckpointOptions& options,
                                   int64_t ranks)
    : folder_(std::move(folder)), options_(options), ranks_(ranks) {
  folder_.make_folder(folder_.checkpoints());
  // What a killed run left half-written.
  for (const auto& entry : fs::directory_iterator(folder_.checkpoints()))
    if (entry.path().filename().string().starts_with(".")) fs::remove_all(entry.path());
}

CheckpointWriter::~CheckpointWriter() {
  try {
    wait();
  } catch (const std::exception&) {
    // Already logged where it happened.
  }
}

void CheckpointWriter::wait() {
  if (in_flight_.valid()) in_flight_.get();
}

void CheckpointWriter::save(CheckpointContent content) {
  try {
    wait();
  } catch (const Error&) {
    // Logged; this newer one is another chance.
  }
  in_flight_ = std::async(
      options_.asynchronous ? std::launch::async : std::launch::deferred,
      [this, content = std::move(content)] {
        try {
          write(content);
        } catch (const Error& error) {
          log_error(fmt::format("checkpoint of step {} was not written, older ones are intact: {}",
                                content.state.step, error.message()));
          throw;
        }
      });
  if (!options_.asynchronous) in_flight_.wait();
}

void CheckpointWriter::write(const CheckpointContent& content) {
  if (content.ready) content.ready();
  const std::string name = RunFolder::step_name(content.state.step);
  const fs::path hidden = folder_.checkpoints() / ("." + name),
                 final_path = folder_.checkpoints() / name;
  try {
    fs::remove_all(hidden);
    folder_.make_folder(hidden);
    const Metadata metadata = {{"format", "pt"}};
    save_safetensors(hidden / "model.safetensors", content.model, metadata);
    if (!content.ema.empty()) save_safetensors(hidden / "ema.safetensors", content.ema, metadata);
    save_safetensors(hidden / kOptimizerFile, content.optimizer, metadata);
    write_file_atomic(hidden / "state.json", to_json(content.state).dump(2) + "\n");

    Json files = Json::array();
    for (const char* file :
         {"model.safetensors", "ema.safetensors", kOptimizerFile, "state.json"}) {
      if (!fs::exists(hidden / file)) continue;
      sync_path(hidden / file);
      files.push_back({{"name", file},
                       {"size", fs::file_size(hidden / file)},
                       {"xxh3_128", hash_file(hidden / file)}});
    }
    const Json manifest = {{"format", "lockstep-checkpoint"},
                           {"version", 1},
                           {"step", content.state.step},
                           {"time", utc_now()},
                           {"host", host_name()},
                           {"ranks", ranks_},
                           {"files", files}};
    write_file_atomic(hidden / kManifest, manifest.dump(2) + "\n");
    sync_path(hidden);
    fs::remove_all(
        final_path);  // a damaged one of the same step, after falling back to an older one
    fs::rename(hidden, final_path);
    sync_path(folder_.checkpoints());
    point_latest(folder_, name);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(hidden, ignored);
    throw EnvironmentError(error.what(), "is the disk full?");
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove_all(hidden, ignored);
    throw;
  }
  remove_old(content.state);
}

// Keeps the newest `keep` and the best one; the newest has just been written and synced. Those of
// later steps are damaged, since the run went on from an older one: they do not count, and are
// overwritten when their step comes.
void CheckpointWriter::remove_old(const TrainState& state) {
  int64_t kept = 0;
  for (const fs::path& checkpoint : list_checkpoints(folder_)) {
    if (checkpoint_step(checkpoint) > state.step) continue;
    const bool best =
        state.best_score && checkpoint.filename() == RunFolder::step_name(state.best_step);
    if (kept < options_.keep || best) {
      ++kept;
      continue;
    }
    std::error_code ignored;
    fs::remove_all(checkpoint, ignored);
  }
}

}  // namespace lockstep
