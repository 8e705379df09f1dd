// Digit embeddings of the sudoku2vec task in the files it leaves.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "models/sudoku/seed_conv.h"
#include "tensor/checkpoint_folder.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

// The safetensors file behind `path`, its hash checked if it belongs to a checkpoint.
fs::path weights_file(const fs::path& path) {
  if (fs::is_regular_file(path)) return path;
  const char* help = "give a sudoku2vec run, one of its checkpoints or a .safetensors file";
  if (!fs::is_directory(path))
    throw ConfigError("task.model.embedding names nothing that exists: " + path.string(), help);
  if (fs::exists(path / kCheckpointManifest)) {
    verify_checkpoint(path);
    return path / kCheckpointModel;
  }
  if (fs::exists(path / "import.json")) return path / kCheckpointModel;  // scripts/convert wrote it
  const auto newest = newest_good_checkpoint(RunFolder::find(path));
  if (!newest)
    throw CheckpointError("the run named by task.model.embedding has no checkpoint", help,
                          {path.string(), 0, 0, ""});
  return *newest / kCheckpointModel;
}

}  // namespace

DigitEmbedding read_digit_embedding(const std::string& path) {
  const fs::path file_path = weights_file(path);
  const SafetensorsFile file(file_path);
  for (const char* name : {"embed.weight", "embedding_layer.weight"}) {
    const TensorInfo* info = file.find(name);
    if (info == nullptr) continue;
    if (info->dtype != at::kFloat || info->shape.size() != 2 || info->shape[0] != 10)
      throw DataError(fmt::format("the tensor '{}' is no float32 [10, E]", name), "",
                      {file_path.string(), 0, 0, ""});
    return {file.load(name), file_path.string()};
  }
  throw DataError(
      "task.model.embedding: the file holds neither embed.weight nor embedding_layer.weight",
      "give a run of task.kind: sudoku2vec", {file_path.string(), 0, 0, ""});
}

void SeedConv::load_embedding() {
  if (options_.embedding.empty()) return;
  const auto [vectors, file] = read_digit_embedding(options_.embedding);
  if (vectors.size(1) != options_.embedding_dim)
    throw DataError(
        fmt::format("task.model.embedding is {} wide, and task.model.embedding_dim is {}",
                    vectors.size(1), options_.embedding_dim),
        fmt::format("set task.model.embedding_dim={}, or train a sudoku2vec of width {}",
                    vectors.size(1), options_.embedding_dim),
        {file, 0, 0, ""});
  const at::NoGradGuard no_grad;
  at::Tensor target = embedding_;
  target.copy_(vectors);
}

}  // namespace lockstep
