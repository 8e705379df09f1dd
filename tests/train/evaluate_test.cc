#include "train/evaluate/evaluate.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <mutex>
#include <thread>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "ddp/single.h"
#include "ddp/thread_ranks.h"
#include "train/metrics.h"

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
  std::vector<ScoreInfo> declared_scores() const override { return {{"harmonic", false}}; }
  int64_t num_chunks() const override { return 37; }
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const double w = dynamic_cast<OneWeight&>(model).w.item<double>();
    EvaluationChunk out;
    out.sums = {w / (index + 1), std::sqrt(static_cast<double>(index))};
    out.tensors = {at::full({2, 3}, index, at::kByte), at::empty({0})};
    return out;
  }
  Scores scores(const std::vector<double>& sums) const override {
    return {{"harmonic", sums[0]}, {"roots", sums[1]}};
  }
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
      for (int i = 0; i < threads; ++i)
        replicas.push_back(models.emplace_back(std::make_unique<OneWeight>()).get());
      Harmonic harmonic;
      EvaluationResult mine = evaluate_on_ranks(harmonic, replicas, Compute::kFp32, *communicator);
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

// Rank 0 takes its time, and so do some chunks; the numbers of a reference come first.
class Slow : public Harmonic {
 public:
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    if (index == 0) std::this_thread::sleep_for(std::chrono::milliseconds(700));
    piece_done();
    return Harmonic::chunk(model, index);
  }
  int64_t pieces() const override { return 1; }
  Evaluation* reference() override { return &first_; }
  void take_reference(const std::vector<double>& sums,
                      const std::vector<EvaluationChunk>& chunks) override {
    taken_ = sums;
    EXPECT_EQ(chunks.size(), 37u);
  }
  Scores scores(const std::vector<double>& sums) const override {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    Scores scores = Harmonic::scores(sums);
    scores["of_reference"] = taken_.at(0);
    return scores;
  }

 private:
  Harmonic first_;
  std::vector<double> taken_;
};

// `ranks` ranks with a deadline of 0.4 s; `stop_rank` wants to stop when it is asked.
std::vector<EvaluationResult> evaluate_slowly(int ranks, int stop_rank,
                                              std::vector<int64_t>* pieces = nullptr) {
  ThreadRendezvous rendezvous(ranks, 0.4);
  std::vector<EvaluationResult> results(static_cast<size_t>(ranks));
  std::vector<std::thread> running;
  for (int rank = 0; rank < ranks; ++rank)
    running.emplace_back([&, rank] {
      const auto communicator = rendezvous.communicator(rank);
      OneWeight model;
      Slow slow;
      EvaluationNews news;
      news.stop = [&] { return rank == stop_rank; };
      if (pieces != nullptr && rank == 0)
        news.progress = [&](const std::string& stage, int64_t done, int64_t total) {
          if (stage.empty()) *pieces = {done, total};
        };
      results[static_cast<size_t>(rank)] =
          evaluate_on_ranks(slow, {&model}, Compute::kFp32, *communicator, news);
    });
  for (std::thread& thread : running) thread.join();
  return results;
}

TEST(EvaluateOnRanks, HasNoDeadlineForRanksThatWaitForAnother) {
  std::vector<int64_t> pieces;
  const std::vector<EvaluationResult> results = evaluate_slowly(3, -1, &pieces);
  EXPECT_EQ(results[0].scores.at("of_reference"), results[0].scores.at("harmonic"));
  EXPECT_EQ(results[0].scores.at("harmonic"), evaluate(1, 1).scores.at("harmonic"));
  EXPECT_EQ(pieces, (std::vector<int64_t>{24, 24}));  // 12 of 37 chunks, two pieces each
  EXPECT_FALSE(results[1].given_up);
}

TEST(EvaluateOnRanks, IsGivenUpOnAllRanksWhenOneIsToStop) {
  for (const EvaluationResult& result : evaluate_slowly(3, 2)) {
    EXPECT_TRUE(result.given_up);
    EXPECT_TRUE(result.scores.empty());
  }
}

TEST(EvaluateOnRanks, HoldsFewSumsHoweverManyChunksThereAre) {
  // Half a mebibyte a chunk, as moments of 256 features; a gibibyte in all.
  class Wide : public Harmonic {
   public:
    int64_t num_chunks() const override { return 2048; }
    EvaluationChunk chunk(Model&, int64_t index) const override {
      return {std::vector<double>(65536, index % 7), {}};
    }
    Scores scores(const std::vector<double>& sums) const override {
      return {{"harmonic", sums.back()}};
    }
  } wide;
  OneWeight one, other;
  const int64_t before = resident_bytes();
  int64_t most = 0;
  EvaluationNews news;
  news.alive = [&] { most = std::max(most, resident_bytes()); };
  const EvaluationResult result =
      evaluate_on_ranks(wide, {&one, &other}, Compute::kFp32, *make_single_communicator(), news);
  EXPECT_EQ(result.scores.at("harmonic"), 2048 / 7 * 21 + 0 + 1 + 2 + 3);
  EXPECT_LT(most - before, 64 << 20);
}

TEST(EvaluateOnRanks, PassesOnWhatAChunkThrows) {
  class Failing : public Harmonic {
    EvaluationChunk chunk(Model&, int64_t) const override {
      throw DataError("a picture is broken");
    }
  } failing;
  OneWeight model;
  EXPECT_THROW(evaluate_on_ranks(failing, {&model}, Compute::kFp32, *make_single_communicator()),
               DataError);
}

}  // namespace
}  // namespace lockstep
