// The emulated GPU finds the mistakes that it is there for.
#include <ATen/ATen.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <gtest/gtest.h>

#include <functional>

namespace {

using at::cuda::CUDAEvent;
using at::cuda::CUDAGraph;
using c10::cuda::CUDAStream;
using c10::cuda::CUDAStreamGuard;

const auto kOnDevice = at::TensorOptions().device(at::kCUDA).dtype(at::kFloat);

CUDAStream stream() { return c10::cuda::getStreamFromPool(false, 0); }

void on(const CUDAStream& stream, const std::function<void()>& work) {
  const CUDAStreamGuard guard(stream);
  work();
}

CUDAGraph recorded(const CUDAStream& stream, const std::function<void()>& work) {
  CUDAGraph graph;
  on(stream, [&] {
    graph.capture_begin(at::cuda::graph_pool_handle(), cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      static_cast<void>(emulation::end_recording());
      throw;
    }
    graph.capture_end();
  });
  return graph;
}

// A tensor of ones that every stream may use.
at::Tensor ones() {
  at::Tensor tensor = at::ones({4}, kOnDevice);
  emulation::host_waits_for_all();
  return tensor;
}

std::vector<float> values(const at::Tensor& tensor) {
  const at::Tensor host = tensor.cpu().contiguous();
  return {host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel()};
}

TEST(EmulatedOperators, GiveTheNumbersOfTheCpu) {
  const at::Tensor a = at::arange(24, at::kFloat).reshape({2, 3, 4}),
                   b = at::linspace(-1, 1, 20).reshape({4, 5});
  const at::Tensor there = at::matmul(a.to(at::kCUDA), b.to(at::kCUDA)).transpose(0, 2).softmax(0);
  EXPECT_TRUE(there.is_cuda());
  EXPECT_TRUE(at::equal(there.cpu(), at::matmul(a, b).transpose(0, 2).softmax(0)));
}

TEST(EmulatedOperators, KeepViewsInPlaceAndSizesOfOutputs) {
  at::Tensor a = ones(), out = at::empty({0}, kOnDevice);
  a.view({2, 2}).select(0, 1).t().add_(1);
  at::cat_out(out, {a, a});
  EXPECT_EQ(values(a), (std::vector<float>{1, 1, 2, 2}));
  EXPECT_EQ(out.numel(), 8);
}

TEST(EmulatedOperators, DifferentiateThroughConvolutionAndNorm) {
  const auto gradient = [](at::Device device) {
    at::Tensor x = at::linspace(-1, 1, 72).reshape({2, 4, 3, 3}).to(device).requires_grad_(true);
    const at::Tensor w = at::linspace(0, 1, 36).reshape({1, 4, 3, 3}).to(device);
    at::conv2d(at::group_norm(x, 2), w, {}, 1, 1).square().sum().backward();
    return x.grad().cpu();
  };
  const at::Tensor expected = gradient(at::kCPU);
  EXPECT_LT((gradient(at::kCUDA) - expected).abs().max().item<float>(),
            1e-5 * expected.abs().max().item<float>());
}

TEST(EmulatedOperators, RefuseTensorsOfTwoDevices) {
  EXPECT_THROW(ones() + at::ones({4}), c10::Error);
}

TEST(EmulatedGraphs, DoNothingWhileRecordedAndAllOfItWhenReplayed) {
  at::Tensor a = ones();
  const CUDAStream s = stream();
  CUDAGraph graph = recorded(s, [&] { a.mul_(2).add_(at::full({4}, 1, kOnDevice) * a.sum()); });
  emulation::host_waits_for_all();
  EXPECT_EQ(values(a)[0], 1);
  on(s, [&] { graph.replay(); });
  emulation::host_waits_for_all();
  EXPECT_EQ(values(a)[0], 10);  // 2 + (2 + 2 + 2 + 2)
  on(s, [&] { graph.replay(); });
  emulation::host_waits_for_all();
  EXPECT_EQ(values(a)[0], 100);
}

TEST(EmulatedGraphs, RefuseWhatMakesTheHostWait) {
  at::Tensor a = ones();
  const CUDAStream s = stream();
  EXPECT_THROW(recorded(s, [&] { a.sum().item<float>(); }), c10::Error);
  EXPECT_THROW(recorded(s, [&] { a.copy_(at::ones({4})); }), c10::Error);
  EXPECT_THROW(recorded(s, [&] { a.cpu(); }), c10::Error);
  EXPECT_THROW(recorded(s, [&] { a.index({a > 0}); }), c10::Error);
  EXPECT_THROW(recorded(s, [&] { emulation::host_waits_for_all(); }), c10::Error);
  EXPECT_THROW(recorded(s, [&] { on(stream(), [&] { a.add_(1); }); }), c10::Error);
}

TEST(EmulatedGraphs, RefuseAStreamThatDoesNotComeBack) {
  at::Tensor a = ones();
  const CUDAStream s = stream(), aside = stream();
  const auto fork = [&](bool join) {
    CUDAEvent begin, end;
    begin.record(s);
    begin.block(aside);
    on(aside, [&] { a.add_(1); });
    end.record(aside);
    if (join) end.block(s);
  };
  EXPECT_THROW(recorded(s, [&] { fork(false); }), c10::Error);
  recorded(s, [&] { fork(true); });
}

TEST(EmulatedGraphs, RecordNumbersOfTheHostAsTheyAre) {
  at::Tensor a = ones(), number = at::full({}, 2.0f);
  const CUDAStream s = stream();
  CUDAGraph graph = recorded(s, [&] { a.mul_(number); });
  number.fill_(5);
  on(s, [&] { graph.replay(); });
  emulation::host_waits_for_all();
  EXPECT_EQ(values(a)[0], 2);
}

TEST(EmulatedGraphs, SpoilWhatNoTensorHolds) {
  at::Tensor a = ones(), b = ones(), lost;
  const CUDAStream s = stream();
  CUDAGraph first = recorded(s, [&] { lost = a * 3; });
  at::Tensor alias = at::from_blob(lost.data_ptr(), {4}, at::kFloat);
  CUDAGraph second = recorded(s, [&] { b.add_(1); });
  on(s, [&] { first.replay(); });
  EXPECT_EQ(alias[0].item<float>(), 3);
  lost.reset();
  on(s, [&] { second.replay(); });
  EXPECT_TRUE(std::isnan(alias[0].item<float>()));
}

TEST(EmulatedCopies, ToTheHostAreThereOnlyAfterWaiting) {
  const at::Tensor pinned =
                       at::empty({4}, at::TensorOptions().dtype(at::kFloat).pinned_memory(true)),
                   a = ones();
  const CUDAStream s = stream();
  CUDAEvent end;
  on(s, [&] { at::Tensor(pinned).copy_(a, /*non_blocking=*/true); });
  end.record(s);
  EXPECT_TRUE(std::isnan(pinned[0].item<float>()));
  end.synchronize();
  EXPECT_EQ(pinned[0].item<float>(), 1);
}

TEST(EmulatedStreamsDeathTest, BlameUseWithoutWaiting) {
  at::Tensor a = ones();
  const CUDAStream s = stream(), t = stream();
  const auto race = [&] {
    on(s, [&] { a.add_(1); });
    on(t, [&] { a.mul_(2); });
  };
  EXPECT_DEATH(race(), "uses what aten::add wrote on stream");
  const auto overwritten = [&] {
    at::Tensor b;
    on(s, [&] { b = a + 1; });
    on(t, [&] { a.zero_(); });
  };
  EXPECT_DEATH(overwritten(), "may still read");
}

TEST(EmulatedStreams, LetPassWhatWaitsOrTouchesOtherParts) {
  at::Tensor a = ones();
  const CUDAStream s = stream(), t = stream();
  CUDAEvent done;
  on(s, [&] { a.narrow(0, 0, 2).add_(1); });
  on(t, [&] { a.narrow(0, 2, 2).add_(1); });
  done.record(s);
  done.block(t);
  on(t, [&] { a.add_(1); });
  emulation::host_waits_for_all();
  EXPECT_EQ(values(a), (std::vector<float>{3, 3, 3, 3}));
}

TEST(EmulatedStreamsDeathTest, BlameAGraphWhoseMemoryIsGone) {
  at::Tensor a = ones(), b = ones();
  const CUDAStream s = stream();
  CUDAGraph graph = recorded(s, [&] { a.add_(b); });
  b.reset();
  EXPECT_DEATH(on(s, [&] { graph.replay(); }), "memory that was given back");
}

TEST(EmulatedMemory, RunsOut) {
  EXPECT_THROW(at::empty({int64_t{1} << 29}, kOnDevice), c10::OutOfMemoryError);
}

}  // namespace
