#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/files.h"
#include "tests/train/tiny_run.h"

namespace lockstep {
namespace {

CheckpointContent content_of(int64_t step) {
  CheckpointContent content;
  content.model = {
      {"layer.weight", at::arange(6, at::kFloat).reshape({2, 3}) + static_cast<double>(step)}};
  content.ema = {{"layer.weight", at::ones({2, 3})}};
  content.optimizer = {{"exp_avg.layer.weight", at::zeros({2, 3})}};
  content.state.step = step;
  content.state.updates = step;
  content.state.slots = 8;
  content.state.isa = "avx2";
  return content;
}

class Checkpoint : public ::testing::Test {
 protected:
  void save(std::initializer_list<int64_t> steps) {
    CheckpointWriter writer(folder_, options_, 1);
    for (const int64_t step : steps) writer.save(content_of(step));
    writer.wait();
  }
  testing::TemporaryFolder temporary_;
  RunFolder folder_{temporary_.path()};
  CheckpointOptions options_;
};

void flip_byte(const fs::path& path, size_t at) {
  std::string bytes = read_file(path);
  bytes.at(at) = static_cast<char>(bytes.at(at) ^ 1);
  write_file_atomic(path, bytes);
}

TEST_F(Checkpoint, ComesBackAsItWasSaved) {
  save({300});
  const CheckpointContent loaded = load_checkpoint(folder_.latest());
  EXPECT_EQ(loaded.state, content_of(300).state);
  EXPECT_TRUE(at::equal(loaded.model.front().tensor, content_of(300).model.front().tensor));
  EXPECT_EQ(loaded.ema.front().name, "layer.weight");
  EXPECT_EQ(fs::read_symlink(folder_.latest()), "step-00000300");
}

TEST_F(Checkpoint, KeepsTheNewestOnes) {
  options_.keep = 2;
  save({1, 2, 3, 4});
  const auto kept = list_checkpoints(folder_);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].filename(), "step-00000004");
  EXPECT_EQ(kept[1].filename(), "step-00000003");
}

TEST_F(Checkpoint, KeepsTheBestOneAsWell) {
  options_.keep = 1;
  CheckpointWriter writer(folder_, options_, 1);
  for (const int64_t step : {1, 2, 3}) {
    CheckpointContent content = content_of(step);
    content.state.best_score = 0.5;
    content.state.best_step = 1;
    writer.save(std::move(content));
  }
  writer.wait();
  EXPECT_TRUE(fs::exists(folder_.checkpoint(1)));
  EXPECT_FALSE(fs::exists(folder_.checkpoint(2)));
  EXPECT_TRUE(fs::exists(folder_.checkpoint(3)));
}

TEST_F(Checkpoint, AFlippedBitAnywhereIsFoundAndTheOlderOneIsUsed) {
  save({1, 2});
  for (const char* file : {"model.safetensors", "ema.safetensors",
                           "optimizer-00000-of-00001.safetensors", "state.json"}) {
    const fs::path path = folder_.checkpoint(2) / file;
    for (size_t at = 0; at < fs::file_size(path); at += 7) {
      flip_byte(path, at);
      EXPECT_THROW(verify_checkpoint(folder_.checkpoint(2)), CheckpointError)
          << file << " byte " << at;
      flip_byte(path, at);
    }
  }
  EXPECT_NO_THROW(verify_checkpoint(folder_.checkpoint(2)));
  flip_byte(folder_.checkpoint(2) / "model.safetensors", 80);
  EXPECT_EQ(newest_good_checkpoint(folder_)->filename(), "step-00000001");
}

TEST_F(Checkpoint, AManifestCutAnywhereIsRefused) {
  save({1});
  const fs::path manifest = folder_.checkpoint(1) / "MANIFEST.json";
  const std::string whole = read_file(manifest);
  for (size_t length = 0; length + 2 < whole.size(); length += 5) {
    write_file_atomic(manifest, whole.substr(0, length));
    EXPECT_THROW(verify_checkpoint(folder_.checkpoint(1)), CheckpointError) << length;
  }
}

TEST_F(Checkpoint, AManifestThatNamesAFileOutsideIsRefused) {
  save({1});
  const fs::path manifest = folder_.checkpoint(1) / "MANIFEST.json";
  std::string text = read_file(manifest);
  text.replace(text.find("ema.safetensors"), 15, "../../etc/x.txt");
  write_file_atomic(manifest, text);
  EXPECT_THROW(verify_checkpoint(folder_.checkpoint(1)), CheckpointError);
}

TEST_F(Checkpoint, AllDamagedIsAnErrorAndNoneIsNot) {
  EXPECT_FALSE(newest_good_checkpoint(folder_).has_value());
  save({1});
  fs::remove(folder_.checkpoint(1) / "state.json");
  EXPECT_THROW(newest_good_checkpoint(folder_), CheckpointError);
}

TEST_F(Checkpoint, WhatAKilledRunLeftIsRemoved) {
  make_folders(folder_.checkpoints() / ".step-00000009");
  save({10});
  EXPECT_FALSE(fs::exists(folder_.checkpoints() / ".step-00000009"));
  EXPECT_EQ(list_checkpoints(folder_).size(), 1u);
}

TEST_F(Checkpoint, AsynchronousAndSynchronousWriteTheSameBytes) {
  save({1});
  const std::string bytes = read_file(folder_.checkpoint(1) / "model.safetensors");
  options_.asynchronous = false;
  save({1});
  EXPECT_EQ(read_file(folder_.checkpoint(1) / "model.safetensors"), bytes);
}

TEST_F(Checkpoint, AFailureToWriteLeavesTheOldOneAndIsThrownByWait) {
  save({1});
  CheckpointWriter writer(folder_, options_, 1);
  CheckpointContent content = content_of(2);
  content.model.front().tensor = at::zeros({2}, at::kComplexFloat);  // a dtype the format lacks
  writer.save(std::move(content));
  EXPECT_THROW(writer.wait(), Error);
  EXPECT_EQ(newest_good_checkpoint(folder_)->filename(), "step-00000001");
  for (const auto& entry : fs::directory_iterator(folder_.checkpoints()))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
}

}  // namespace
}  // namespace lockstep
