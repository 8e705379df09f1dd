#include "tensor/checkpoint_folder.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.h"

namespace lockstep {
namespace {

bool is_step_name(const std::string& name) {
  return name.starts_with("step-") && name.size() > 5 &&
         std::all_of(name.begin() + 5, name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

int64_t checkpoint_step(const fs::path& checkpoint) {
  return std::stoll(checkpoint.filename().string().substr(5));
}

nlohmann::ordered_json read_checkpoint_json(const fs::path& path) {
  const auto json = nlohmann::ordered_json::parse(read_file(path, 16 << 20), nullptr, false);
  if (json.is_discarded() || !json.is_object())
    throw CheckpointError("not a JSON object", "", {path.string(), 0, 0, ""});
  return json;
}

std::vector<fs::path> list_checkpoints(const RunFolder& folder) {
  std::vector<fs::path> out;
  if (!fs::is_directory(folder.checkpoints())) return out;
  for (const auto& entry : fs::directory_iterator(folder.checkpoints()))
    if (!entry.is_symlink() && entry.is_directory() &&
        is_step_name(entry.path().filename().string()))
      out.push_back(entry.path());
  std::sort(out.begin(), out.end(), [](const fs::path& a, const fs::path& b) {
    return checkpoint_step(a) > checkpoint_step(b);
  });
  return out;
}

void verify_checkpoint(const fs::path& checkpoint) {
  reading_checkpoint(checkpoint, [&] {
    const nlohmann::ordered_json manifest = read_checkpoint_json(checkpoint / kCheckpointManifest);
    if (manifest.value("format", "") != "lockstep-checkpoint" || manifest.value("version", 0) != 1)
      throw CheckpointError("manifest of an unknown format or version", "",
                            {(checkpoint / kCheckpointManifest).string(), 0, 0, ""});
    for (const char* needed : {"model.safetensors", kCheckpointOptimizer, "state.json"}) {
      const auto& files = manifest.at("files");
      if (std::none_of(files.begin(), files.end(),
                       [&](const nlohmann::ordered_json& f) { return f.at("name") == needed; }))
        throw CheckpointError(fmt::format("the manifest does not list {}", needed), "",
                              {checkpoint.string(), 0, 0, ""});
    }
    for (const nlohmann::ordered_json& file : manifest.at("files")) {
      const std::string name = file.at("name");
      const fs::path path = checkpoint / name;
      const Place place{path.string(), 0, 0, ""};
      if (!is_safe_relative(name) || name.find('/') != std::string::npos)
        throw CheckpointError("the manifest names a file outside its folder: " + name, "", place);
      if (!fs::is_regular_file(fs::symlink_status(path)))
        throw CheckpointError("file is missing", "", place);
      if (fs::file_size(path) != file.at("size").get<uintmax_t>())
        throw CheckpointError(fmt::format("file has {} bytes, the manifest says {}",
                                          fs::file_size(path), file.at("size").get<uintmax_t>()),
                              "", place);
      if (hash_file(path) != file.at("xxh3_128").get<std::string>())
        throw CheckpointError("content does not match the manifest's hash", "", place);
    }
    return 0;
  });
}

std::optional<fs::path> newest_good_checkpoint(const RunFolder& folder) {
  const std::vector<fs::path> all = list_checkpoints(folder);
  for (const fs::path& checkpoint : all) {
    try {
      verify_checkpoint(checkpoint);
      return checkpoint;
    } catch (const Error& error) {
      log_warning(fmt::format("checkpoint {} is damaged and skipped: {}", checkpoint.string(),
                              error.what()));
    }
  }
  if (!all.empty())
    throw CheckpointError(fmt::format("all {} checkpoints are damaged", all.size()),
                          "restore one from a backup, or start a new run",
                          {folder.checkpoints().string(), 0, 0, ""});
  return std::nullopt;
}

}  // namespace lockstep
