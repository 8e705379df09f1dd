// The checkpoints of a run on disk, and whether they are whole (docs/formats.md).
//
// What reads a checkpoint goes through here: a folder counts only if its manifest lists what is
// there, with the right sizes and hashes. train/checkpoint.h writes them and knows what is inside.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/run_folder.h"

namespace lockstep {

inline constexpr const char* kCheckpointManifest = "MANIFEST.json";
inline constexpr const char* kCheckpointModel = "model.safetensors";
inline constexpr const char* kCheckpointOptimizer = "optimizer-00000-of-00001.safetensors";

// The committed checkpoints of a run, newest first.
std::vector<std::filesystem::path> list_checkpoints(const RunFolder& folder);

// Checks manifest, sizes and hashes. Throws CheckpointError saying what is wrong.
void verify_checkpoint(const std::filesystem::path& checkpoint);

// The newest checkpoint that verifies; those that do not are reported by log_warning and skipped.
// Nothing if there is none at all; CheckpointError if there are some and all are damaged.
std::optional<std::filesystem::path> newest_good_checkpoint(const RunFolder& folder);

// Of a folder with a step name.
int64_t checkpoint_step(const std::filesystem::path& checkpoint);

// A JSON object in a checkpoint. Throws CheckpointError.
nlohmann::ordered_json read_checkpoint_json(const std::filesystem::path& path);

// Runs `read` on files from outside: whatever is wrong with them is a CheckpointError.
template <class Read>
auto reading_checkpoint(const std::filesystem::path& checkpoint, Read read) -> decltype(read()) {
  try {
    return read();
  } catch (const CheckpointError&) {
    throw;
  } catch (const Error& error) {
    throw CheckpointError(error.what(), "", {checkpoint.string(), 0, 0, ""});
  } catch (const nlohmann::json::exception& error) {
    throw CheckpointError(error.what(), "", {checkpoint.string(), 0, 0, ""});
  }
}

}  // namespace lockstep
