#include "train/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <thread>

#include <ATen/ATen.h>

#include "ddp/thread_ranks.h"

namespace lockstep {
namespace {

class OneWeight : public Model {
 public:
  OneWeight() : w(parameter("w", at::full({1}, 0.1f))) {}
  at::Tensor w;
};

// Sums whose order of addition shows in the last bits.
class Harmonic : public Evaluation {
 public:
  std::vector<std::string> score_names() const override { return {"harmonic"}; }
  int64_t num_chunks() const override { return 37; }
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const double w = dynamic_cast<OneWeight&>(model).w.item<double>();
    EvaluationChunk out;
    out.sums = {w / (index + 1), std::sqrt(static_cast<double>(index))};
    out.tensors = {at::full({2, 3}, index, at::kByte), at::empty({0})};
    return out;
  }
  Scores scores(const std::vector<double>& sums) const override { return {{"harmonic", sums[0]}, {"roots", sums[1]}}; }
};

EvaluationResult evaluate(int ranks, int threads) {
  ThreadRendezvous rendezvous(ranks, 30);
  EvaluationResult result;
  std::vector<std::thread> running;
  for (int rank = 0; rank < ranks; ++rank)
    running.emplace_back([&, rank] {
      const auto communicator = rendezvous.communicator(rank);
      std::vector<std::unique_ptr<OneWeight>> models;
      std::vector<Model*> replicas;
      for (int i = 0; i < threads; ++i) replicas.push_back(models.emplace_back(std::make_unique<OneWeight>()).get());
      EvaluationResult mine = evaluate_on_ranks(Harmonic(), replicas, "fp32", *communicator);
      if (rank == 0) result = std::move(mine);
    });
  for (std::thread& thread : running) thread.join();
  return result;
}

TEST(EvaluateOnRanks, GivesTheSameBitsForAnyNumberOfRanksAndThreads) {
  const EvaluationResult expected = evaluate(1, 1);
  EXPECT_NEAR(expected.scores.at("harmonic"), 0.1 * 4.2015, 1e-4);  // H(37) = 4.20158…
  for (const int ranks : {1, 2, 3, 8, 40})
    for (const int threads : {1, 3}) {
      const EvaluationResult result = evaluate(ranks, threads);
      EXPECT_EQ(result.scores, expected.scores) << ranks << " ranks, " << threads << " threads";
    }
}

TEST(EvaluateOnRanks, BringsTensorsToRankZeroInChunkOrder) {
  const EvaluationResult result = evaluate(3, 2);
  ASSERT_EQ(result.chunks.size(), 37u);
  for (int64_t i = 0; i < 37; ++i) {
    EXPECT_TRUE(at::equal(result.chunks[i].tensors[0], at::full({2, 3}, i, at::kByte)));
    EXPECT_EQ(result.chunks[i].tensors[1].numel(), 0);
  }
}

}  // namespace
}  // namespace lockstep
