// Steps as a GPU runs them, here on the CPU's own device, against steps of the host.
#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/files.h"
#include "ddp/thread_ranks.h"
#include "tests/train/tiny_run.h"
#include "train/prepare.h"
#include "train/step/step_executor.h"

namespace lockstep {
namespace {

struct Trained {
  at::Tensor weights, ema;
  std::vector<StepResult> results;
  TrainState state;
};

using Make = std::unique_ptr<StepExecutor> (*)(Session&);

// All steps of a run on `ranks` threads as ranks, and what rank 0 has then.
Trained train(Make make, int ranks, const std::vector<std::string>& more, int64_t steps = 8) {
  const testing::TemporaryFolder folder;
  std::vector<std::string> overrides = testing::tiny_overrides(steps);
  overrides.push_back("launch.ranks_per_node=" + std::to_string(ranks));
  overrides.push_back("launch.threads_per_rank=1");
  overrides.insert(overrides.end(), more.begin(), more.end());
  ThreadRendezvous rendezvous(ranks, 60);
  Trained trained;
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run = [&](int rank) {
    try {
      Prepared prepared = prepare_run("-", overrides, {});
      make_folders(RunFolder{folder.path()}.attempt(0));
      Session session(std::move(prepared.loaded), prepared.plan, {RunFolder{folder.path()}, 0},
                      rendezvous.communicator(rank));
      const std::unique_ptr<StepExecutor> all = make(session);
      std::vector<StepResult> results;
      const auto take = [&](std::vector<StepResult> some) {
        results.insert(results.end(), some.begin(), some.end());
      };
      while (session.state().step < steps) take(all->run());
      take(all->finish());
      const std::lock_guard lock(mutex);
      if (rank == 0) {
        trained = {session.weights().flat().clone(),
                   session.has_ema() ? session.ema().flat().clone() : at::Tensor(), results,
                   session.state()};
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(run, rank);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  return trained;
}

// The order of additions differs (one arena for all slots, LibTorch's kernels), so values are
// close, not equal.
void expect_close(const Trained& host, const Trained& device, double tolerance) {
  const double size = host.weights.abs().max().item<double>();
  EXPECT_LT((host.weights - device.weights).abs().max().item<double>(), tolerance * size);
  if (host.ema.defined()) {
    EXPECT_LT((host.ema - device.ema).abs().max().item<double>(), tolerance * size);
  }
  ASSERT_EQ(host.results.size(), device.results.size());
  for (size_t i = 0; i < host.results.size(); ++i) {
    EXPECT_EQ(device.results[i].step, static_cast<int64_t>(i) + 1);
    EXPECT_NEAR(host.results[i].loss, device.results[i].loss, tolerance * host.results[i].loss);
    EXPECT_NEAR(host.results[i].grad_norm, device.results[i].grad_norm,
                10 * tolerance * host.results[i].grad_norm);
    EXPECT_DOUBLE_EQ(host.results[i].lr, device.results[i].lr);
    EXPECT_DOUBLE_EQ(host.results[i].next_lr, device.results[i].next_lr);
  }
  EXPECT_EQ(host.state.updates, device.state.updates);
}

TEST(DeviceSteps, AgreeWithTheHostOnOneRank) {
  expect_close(train(make_executor, 1, {}), train(make_device_executor, 1, {}), 2e-4);
}

TEST(DeviceSteps, AgreeWithTheHostEagerlyToo) {
  expect_close(train(make_executor, 1, {}), train(make_device_executor, 1, {"step.graph=off"}),
               2e-4);
}

TEST(DeviceSteps, AgreeWithTheHostOnTwoRanksAndWithMicroBatches) {
  const std::vector<std::string> more = {"train.micro_batch=1",
                                         "train.ema={decay: 0.9, warmup: true, every_steps: 2}"};
  expect_close(train(make_executor, 2, more), train(make_device_executor, 2, more), 2e-4);
}

TEST(DeviceSteps, AgreeWithTheHostUnderSgdAndBf16Weights) {
  const std::vector<std::string> sgd = {
      "optimizer={kind: sgd, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 0.01}"};
  expect_close(train(make_executor, 1, sgd), train(make_device_executor, 1, sgd), 2e-4);
  const std::vector<std::string> low = {"precision.compute=bf16_weights"};
  expect_close(train(make_executor, 1, low), train(make_device_executor, 1, low), 2e-2);
}

// With the tree every slot has its own arena, and ranks exchange by pairs.
TEST(DeviceSteps, GiveTheSameBitsOnOneTwoAndFourRanksWithTheTree) {
  const std::vector<std::string> tree = {"ddp.reduce=tree", "step.graph=off"};
  const Trained one = train(make_device_executor, 1, tree);
  for (const int ranks : {2, 4}) {
    const Trained more = train(make_device_executor, ranks, tree);
    EXPECT_TRUE(at::equal(one.weights, more.weights)) << ranks;
    EXPECT_TRUE(at::equal(one.ema, more.ema)) << ranks;
  }
}

// The same gradients by the same tree, the same kernels: what a GPU run does, on the CPU, gives the
// host's bits.
TEST(DeviceSteps, FusedWithTheTreeGiveTheBitsOfTheHost) {
  for (const std::string optimizer :
       {"optimizer={kind: adamw, lr: 0.003, weight_decay: 0.02}",
        "optimizer={kind: sgd, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 0.01}"}) {
    const std::vector<std::string> more = {optimizer, "ddp.reduce=tree",
                                           "train.ema={decay: 0.9, warmup: true, every_steps: 2}"};
    const Trained host = train(make_executor, 1, more),
                  device = train(make_device_executor, 1, more);
    EXPECT_TRUE(at::equal(host.weights, device.weights)) << optimizer;
    EXPECT_TRUE(at::equal(host.ema, device.ema)) << optimizer;
    for (size_t i = 0; i < host.results.size(); ++i)
      EXPECT_EQ(host.results[i].grad_norm, device.results[i].grad_norm) << i;
  }
}

// Four blocks of the arena, the last one short, and buckets that cut through them.
const std::vector<std::string> kFourBlocks = {
    "task.model={kind: sudoku_net, channels: 32, hidden: 64, blocks: 12, iterations: 4, "
    "loss_depths: [4]}",
    "ddp.bucket_megabytes=1"};

std::vector<std::string> with(std::vector<std::string> some, const std::vector<std::string>& more) {
  some.insert(some.end(), more.begin(), more.end());
  return some;
}

TEST(DeviceSteps, SharesOfTheOptimizerGiveTheBitsOfTheWholeWithTheTree) {
  for (const std::string compute : {"precision.compute=fp32", "precision.compute=bf16_weights"}) {
    const std::vector<std::string> common =
        with(kFourBlocks,
             {"ddp.reduce=tree", compute, "train.ema={decay: 0.9, warmup: true, every_steps: 2}"});
    const Trained whole = train(make_device_executor, 1, common, 4);
    for (const int ranks : {2, 3}) {
      if (ranks == 3 && compute != "precision.compute=fp32") continue;
      const Trained shares =
          train(make_device_executor, ranks, with(common, {"ddp.shard_optimizer=true"}), 4);
      EXPECT_TRUE(at::equal(whole.weights, shares.weights)) << compute << ", " << ranks << " ranks";
      EXPECT_TRUE(at::equal(whole.ema, shares.ema)) << compute << ", " << ranks << " ranks";
      EXPECT_EQ(whole.results.back().grad_norm, shares.results.back().grad_norm);
    }
  }
}

TEST(DeviceSteps, SharesOfTheOptimizerAgreeWithTheHostUnderAllReduce) {
  const std::vector<std::string> common =
      with(kFourBlocks, {"ddp.reduce=allreduce", "ddp.shard_optimizer=true"});
  const Trained host = train(make_executor, 1, with(kFourBlocks, {}), 5);
  expect_close(host, train(make_device_executor, 2, common, 5), 2e-4);
  expect_close(host,
               train(make_device_executor, 2,
                     with(common, {"optimizer={kind: adamw, implementation: foreach}"}), 5),
               2e-4);
}

TEST(DeviceSteps, StepsTellWhereTheirTimeWent) {
  const Trained eager = train(make_device_executor, 2, {"step.graph=off"}, 3);
  for (const StepResult& result : eager.results) {
    ASSERT_TRUE(result.device.has_value());
    const DeviceSeconds& d = *result.device;
    EXPECT_FALSE(d.in_graph);
    for (const double seconds : {d.copy, d.forward, d.backward, d.update}) EXPECT_GT(seconds, 0);
    EXPECT_NEAR(d.all, d.copy + d.forward + d.backward + d.exchange + d.update, 1e-9);
  }
  const Trained graph = train(make_device_executor, 1, {}, 9);
  for (const StepResult& result : graph.results) {
    const bool compared = result.step > 3 && result.step <= 6;
    ASSERT_EQ(result.device.has_value(), !compared) << result.step;
    if (compared) continue;
    EXPECT_EQ(result.device->in_graph, result.step > 6);
    EXPECT_EQ(result.device->graph > 0, result.step > 6);
    EXPECT_EQ(result.device->forward > 0, result.step <= 3);
  }
}

TEST(DeviceSteps, ForeachAgreesWithTheHostToo) {
  const std::vector<std::string> more = {
      "optimizer={kind: adam, lr: 0.003, weight_decay: 0.02, implementation: foreach}"};
  expect_close(train(make_executor, 1, more), train(make_device_executor, 1, more), 2e-4);
}

TEST(DeviceSteps, ResultsComeBackLateAndInOrder) {
  const testing::TemporaryFolder folder;
  Prepared prepared = prepare_run("-", testing::tiny_overrides(5), {});
  make_folders(RunFolder{folder.path()}.attempt(0));
  ThreadRendezvous rendezvous(1, 60);
  Session session(std::move(prepared.loaded), prepared.plan, {RunFolder{folder.path()}, 0},
                  rendezvous.communicator(0));
  const std::unique_ptr<StepExecutor> steps = make_device_executor(session);
  EXPECT_TRUE(steps->run().empty());
  EXPECT_TRUE(steps->run().empty());
  const auto third = steps->run();
  ASSERT_EQ(third.size(), 1u);
  EXPECT_EQ(third.front().step, 1);
  EXPECT_EQ(session.state().step, 3) << "steps that are queued";
  EXPECT_EQ(steps->finish().size(), 2u);
  EXPECT_EQ(session.state().updates, 3);
}

// A loss scale that overflows at once: the steps are skipped and leave no trace but the lower
// scale.
TEST(DeviceSteps, AnOverflowChangesNothingButTheScale) {
  const std::vector<std::string> fp16 = {
      "precision={compute: fp16, loss_scale: {initial: 2147483648, most_skips: 60}}",
      "optimizer={kind: adamw, lr: 0.001}"};
  const Trained host = train(make_executor, 1, fp16, 6),
                device = train(make_device_executor, 1, fp16, 6);
  ASSERT_EQ(host.results.size(), device.results.size());
  int64_t skipped = 0;
  for (size_t i = 0; i < host.results.size(); ++i) {
    EXPECT_EQ(host.results[i].updated, device.results[i].updated) << i;
    EXPECT_EQ(host.results[i].loss_scale, device.results[i].loss_scale) << i;
    skipped += !device.results[i].updated;
  }
  EXPECT_GT(skipped, 0) << "the test wants an overflow";
  EXPECT_EQ(host.state.updates, device.state.updates);
  EXPECT_EQ(host.state.loss_scale, device.state.loss_scale);
  EXPECT_EQ(host.state.skipped_in_a_row, device.state.skipped_in_a_row);
  EXPECT_TRUE(device.weights.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace lockstep
