// What only a GPU can show: queues, graphs, fresh inputs on replay, NCCL-free training against the
// host. Skipped without one.
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/files.h"
#include "ddp/single.h"
#include "tests/harness/gpu.h"
#include "tests/train/tiny_run.h"
#include "train/prepare.h"
#include "train/step/step_executor.h"

namespace lockstep {
namespace {

TEST(DeviceGpu, AQueuesWorkIsOrderedByMarks) {
  LOCKSTEP_NEEDS_GPU();
  const auto device = make_cuda_device(0);
  const auto first = device->make_queue(), second = device->make_queue();
  const auto options = at::TensorOptions().device(device->where());
  at::Tensor a, b;
  first->run([&] {
    a = at::ones({1 << 22}, options);
    for (int i = 0; i < 50; ++i) a.mul_(1.01);
  });
  second->wait(*first->mark());
  second->run([&] { b = a * 2; });
  const auto end = second->mark();
  end->wait_on_host();
  EXPECT_TRUE(end->reached());
  EXPECT_TRUE(at::allclose(b.cpu(), a.cpu() * 2));
}

TEST(DeviceGpu, AReplayedGraphReadsFreshInputs) {
  LOCKSTEP_NEEDS_GPU();
  const auto device = make_cuda_device(0);
  const auto queue = device->make_queue();
  at::Tensor in, out;
  queue->run([&] {
    in = at::zeros({4}, at::TensorOptions().device(device->where()));
    out = at::zeros_like(in);
    out.copy_(in * 2 + 1);
  });
  const auto graph = device->make_graph();
  graph->record(*queue, [&] { out.copy_(in * 2 + 1); });
  for (const float value : {3.0f, 5.0f}) {
    queue->run([&] { in.fill_(value); });
    graph->replay(*queue);
    device->synchronize();
    EXPECT_TRUE(at::equal(out.cpu(), at::full({4}, 2 * value + 1)));
  }
}

TEST(DeviceGpu, ARecordingThatReadsOnTheHostFailsAndLeavesTheQueueUsable) {
  LOCKSTEP_NEEDS_GPU();
  const auto device = make_cuda_device(0);
  const auto queue = device->make_queue();
  at::Tensor value;
  queue->run([&] { value = at::ones({}, at::TensorOptions().device(device->where())); });
  const auto graph = device->make_graph();
  EXPECT_ANY_THROW(graph->record(*queue, [&] { value.item<float>(); }));
  queue->run([&] { value = value + 1; });
  EXPECT_EQ(value.cpu().item<float>(), 2.0f);
}

struct Trained {
  at::Tensor weights;
  std::vector<double> losses;
};

Trained train(const std::string& device, const std::vector<std::string>& more, int64_t steps) {
  const testing::TemporaryFolder folder;
  std::vector<std::string> overrides = testing::tiny_overrides(steps);
  overrides.insert(overrides.end(), {"run.device=" + device, "launch.ranks_per_node=1",
                                     "ddp.slots=2", "launch.threads_per_rank=1"});
  overrides.insert(overrides.end(), more.begin(), more.end());
  Prepared prepared = prepare_run("-", overrides, {});
  make_folders(RunFolder{folder.path()}.attempt(0));
  Session session(std::move(prepared.loaded), prepared.plan, {RunFolder{folder.path()}, 0},
                  make_single_communicator(),
                  device == "cuda" ? make_cuda_device(0) : make_cpu_device());
  const std::unique_ptr<StepExecutor> all = make_executor(session);
  Trained trained;
  const auto take = [&](const std::vector<StepResult>& some) {
    for (const StepResult& result : some) trained.losses.push_back(result.loss);
  };
  while (session.state().step < steps) take(all->run());
  take(all->finish());
  trained.weights = session.weights().flat().cpu();
  return trained;
}

double apart(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

TEST(DeviceGpu, TrainsLikeTheHost) {
  LOCKSTEP_NEEDS_GPU();
  const Trained host = train("cpu", {}, 8), gpu = train("cuda", {"step.graph=off"}, 8);
  EXPECT_LT(apart(gpu.weights, host.weights), 1e-2);
  for (size_t i = 0; i < 8; ++i)
    EXPECT_NEAR(gpu.losses[i], host.losses[i], 1e-3 * host.losses[i]) << i;
}

TEST(DeviceGpu, TheGraphEqualsEagerForTwentySteps) {
  LOCKSTEP_NEEDS_GPU();
  const Trained eager = train("cuda", {"step.graph=off"}, 20),
                graph = train("cuda", {"step.graph=on"}, 20);
  EXPECT_LT(apart(graph.weights, eager.weights), 1e-3);
  for (size_t i = 0; i < 20; ++i)
    EXPECT_NEAR(graph.losses[i], eager.losses[i], 1e-4 * eager.losses[i]) << i;
}

TEST(DeviceGpu, StepsDifferAndRepeatWithTheSeed) {
  LOCKSTEP_NEEDS_GPU();
  const Trained one = train("cuda", {}, 16), again = train("cuda", {}, 16),
                other = train("cuda", {"run.seed=18"}, 16);
  EXPECT_NE(one.losses[10], one.losses[11]);
  EXPECT_NE(one.losses[10], other.losses[10]);
  for (size_t i = 0; i < 16; ++i) EXPECT_NEAR(one.losses[i], again.losses[i], 1e-5 * one.losses[i]);
}

TEST(DeviceGpu, AnOverflowInHalfPrecisionLeavesNoTrace) {
  LOCKSTEP_NEEDS_GPU();
  const Trained trained = train(
      "cuda", {"precision={compute: fp16, loss_scale: {initial: 2147483648, most_skips: 60}}"}, 40);
  EXPECT_TRUE(trained.weights.isfinite().all().item<bool>());
  EXPECT_LT(trained.losses.back(), trained.losses.front());
}

}  // namespace
}  // namespace lockstep
