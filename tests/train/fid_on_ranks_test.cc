// FID from pictures: equal to pytorch-fid, and the same bits on any number of ranks.
#include <fstream>
#include <mutex>
#include <thread>

#include <ATen/ATen.h>
#include <ATen/TensorIndexing.h>
#include <gtest/gtest.h>

#include "data/images/image_shards.h"
#include "ddp/thread_ranks.h"
#include "tasks/images/stored_features.h"
#include "tests/harness/inception_weights.h"
#include "tests/harness/scratch_folder.h"
#include "train/evaluate/evaluate.h"

namespace lockstep {
namespace {

at::Tensor golden(const std::string& name) {
  static const SafetensorsFile file(LOCKSTEP_SOURCE_DIR "/tests/eval/golden/fid.safetensors");
  return file.load(name);
}

// The two folders of tests/eval/golden/make_fid.py.
void write_pictures(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  const SafetensorsFile files(LOCKSTEP_SOURCE_DIR "/tests/data/golden/images.safetensors");
  std::filesystem::create_directories(folder);
  for (const std::string& name : names) {
    const at::Tensor bytes = files.load("file." + name);
    std::ofstream file(folder / (name + (name.starts_with("png") ? ".png" : ".jpg")),
                       std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()), bytes.numel());
  }
}

FeatureStatistics statistics(const std::string& path, const std::shared_ptr<Inception>& inception,
                             int ranks, int threads) {
  ThreadRendezvous rendezvous(ranks, 60);
  FeatureStatistics out;
  std::vector<std::thread> running;
  for (int rank = 0; rank < ranks; ++rank)
    running.emplace_back([&, rank] {
      const auto communicator = rendezvous.communicator(rank);
      const std::shared_ptr<const ImageSource> source = open_image_source(path);
      StoredFeatures evaluation(source, inception, FidResize::kPytorch, source->size());
      const std::vector<Model*> replicas(static_cast<size_t>(threads), inception.get());
      const EvaluationResult result =
          evaluate_on_ranks(evaluation, replicas, Compute::kFp32, *communicator);
      if (rank == 0)
        out = statistics_from(path, result.sums, result.chunks, inception->dimensions());
    });
  for (std::thread& thread : running) thread.join();
  return out;
}

TEST(Fid, EqualsPytorchFidOnTwoFolders) {
  ScratchFolder folder;
  write_pictures(folder / "a", {"png_rgb", "png_gray", "jpeg_420", "png_palette"});
  write_pictures(folder / "b",
                 {"png_rgba", "jpeg_cmyk", "jpeg_progressive", "png_one_bit", "jpeg_444"});
  save_inception_weights(folder / "w.safetensors", 2048);
  for (const int64_t dimensions : {64, 2048}) {
    const auto inception = std::make_shared<Inception>(folder / "w.safetensors", dimensions);
    const double fid = fid_score(statistics((folder / "a").string(), inception, 1, 1),
                                 statistics((folder / "b").string(), inception, 1, 1))
                           .fid;
    const double expected = golden("fid." + std::to_string(dimensions)).item<double>();
    EXPECT_NEAR(fid, expected, 1e-5 * expected) << dimensions;
  }
}

TEST(Fid, HasTheSameBitsOnAnyNumberOfRanksAndThreads) {
  ScratchFolder folder;
  // Three chunks: 140 dots of 5 × 5 pixels, no two alike.
  const ImageShape shape{3, 5, 5};
  DatasetWriter writer(folder / "dots", {"images", "test", "", image_arrays(shape, false)}, false);
  ImageShardWriter shards(writer, shape, false, "train", 1000);
  for (int i = 0; i < 140; ++i) {
    const at::Tensor dots = (hashed_numbers(static_cast<uint32_t>(i), 75) * 256).to(at::kByte);
    shards.add(dots.const_data_ptr<uint8_t>(), 0);
  }
  shards.finish();
  writer.finish();
  save_inception_weights(folder / "w.safetensors", 64);
  const auto inception = std::make_shared<Inception>(folder / "w.safetensors", 64);
  const FeatureStatistics one = statistics((folder / "dots").string(), inception, 1, 1);
  ASSERT_EQ(*one.count(), 140);
  for (const auto& [ranks, threads] : {std::pair{2, 2}, std::pair{4, 1}}) {
    const FeatureStatistics many =
        statistics((folder / "dots").string(), inception, ranks, threads);
    EXPECT_TRUE(many.gaussian.mean.equal(one.gaussian.mean)) << ranks;
    EXPECT_TRUE(many.gaussian.covariance.equal(one.gaussian.covariance)) << ranks;
    EXPECT_TRUE(many.features.equal(one.features)) << ranks;
  }
}

TEST(InceptionInput, ResizesAsPytorchFidAndAsCleanFid) {
  const at::Tensor picture =
      SafetensorsFile(LOCKSTEP_SOURCE_DIR "/tests/data/golden/images.safetensors")
          .load("pixels.png_rgb");
  const at::Tensor planes = picture.permute({2, 0, 1}).unsqueeze(0).contiguous();
  for (const auto& [resize, name, tolerance] :
       {std::tuple{FidResize::kPytorch, "input.pytorch", 1e-6},
        std::tuple{FidResize::kClean, "input.clean", 2e-5}}) {
    const at::Tensor x = inception_input(planes, resize)[0];
    const at::Tensor expected = golden(name);
    const at::Tensor ours = x.index(
        {at::indexing::Slice(), at::indexing::Slice(0, 299, 23), at::indexing::Slice(0, 299, 23)});
    EXPECT_LT((ours - expected).abs().max().item<double>(), tolerance) << name;
  }
}

}  // namespace
}  // namespace lockstep
