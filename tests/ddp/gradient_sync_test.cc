#include "ddp/gradient_sync.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/errors.h"
#include "ddp/slot_threads.h"
#include "ddp/tree.h"
#include "tests/harness/ranks.h"

namespace lockstep {
namespace {

// A small network: three layers of 20 × 20, one parameter that is used twice and one that only
// some slots use.
const std::vector<std::pair<std::string, std::vector<int64_t>>> kShapes = {{"first", {20, 20}},
                                                                           {"shared", {20}},
                                                                           {"second", {20, 20}},
                                                                           {"sometimes", {20}},
                                                                           {"third", {20, 20}}};

NamedTensors initial() {
  NamedTensors parameters;
  for (size_t i = 0; i < kShapes.size(); ++i) {
    int64_t count = 1;
    for (int64_t d : kShapes[i].second) count *= d;
    parameters.push_back(
        {kShapes[i].first,
         at::sin(at::arange(count, at::kFloat) + double(i)).view(kShapes[i].second) * 0.2});
  }
  return parameters;
}

std::vector<at::Tensor> make_replica(const Arena& weights) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& view : weights.views())
    leaves.push_back(view.detach().requires_grad_(true));
  return leaves;
}

at::Tensor loss_of(const std::vector<at::Tensor>& p, int64_t slot, int64_t micro_batch) {
  at::Tensor x =
      at::cos(at::arange(40, at::kFloat) * double(slot + 1) + double(micro_batch)).view({2, 20});
  x = at::tanh(at::matmul(x, p[0]) + p[1]);
  x = at::tanh(at::matmul(x, p[2]) + p[1]);
  if (slot % 2 == 0) x = x * p[3];
  return at::matmul(x, p[4]).square().sum();
}

constexpr int64_t kSlots = 8, kMicroBatches = 2;

// The definition: each slot by itself with plain autograd, then the tree.
at::Tensor reference(const ArenaLayout& layout) {
  Arena weights(layout);
  weights.load(initial(), "", "test");
  std::vector<Arena> slots;
  for (int64_t slot = 0; slot < kSlots; ++slot) {
    Arena& arena = slots.emplace_back(layout);
    for (int64_t m = 0; m < kMicroBatches; ++m) {
      const auto parameters = make_replica(weights);
      const auto gradients = torch::autograd::grad({loss_of(parameters, slot, m)}, parameters, {},
                                                   std::nullopt, false, true);
      for (size_t i = 0; i < gradients.size(); ++i)
        if (gradients[i].defined()) arena.views()[i].add_(gradients[i]);
    }
  }
  Arena sum(layout);
  for (int64_t i = 0; i < layout.size; ++i)
    sum.data()[i] = tree_sum<float>(0, kSlots, [&](int64_t s) { return slots[s].data()[i]; });
  return sum.flat();
}

struct Job {
  int threads = 1;
  int steps = 2;
  GradientSyncOptions options;
};

at::Tensor run_steps(Communicator& comm, const ArenaLayout& layout, const Job& job) {
  Arena weights(layout);
  weights.load(initial(), "", "test");
  SlotThreads threads(job.threads);
  std::vector<std::vector<at::Tensor>> replicas;
  for (int t = 0; t < job.threads; ++t) replicas.push_back(make_replica(weights));
  GradientSync sync(comm, layout, replicas, job.options);
  const int64_t first = slots_of_rank(kSlots, comm.size(), comm.rank()).begin;
  for (int step = 0; step < job.steps; ++step) {
    sync.begin_step();
    threads.run(sync.local_slots(), [&](int thread, int64_t slot) {
      sync.begin_slot(thread, slot);
      for (int64_t m = 0; m < kMicroBatches; ++m) {
        sync.begin_micro_batch(thread, m + 1 == kMicroBatches);
        loss_of(replicas[thread], first + slot, m).backward();
      }
      sync.end_slot(thread);
    });
    sync.finish();
  }
  return sync.gradients().flat().clone();
}

void expect_same_bits(const at::Tensor& a, const at::Tensor& b, const std::string& what) {
  ASSERT_EQ(a.numel(), b.numel());
  EXPECT_EQ(0, std::memcmp(a.data_ptr(), b.data_ptr(), a.nbytes())) << what;
}

class AnyRanksAndThreads : public testing::TestWithParam<std::tuple<int, int, bool>> {};

TEST_P(AnyRanksAndThreads, GiveTheBitsOfTheDefinition) {
  const auto [ranks, threads, overlap] = GetParam();
  set_up_compute_thread();
  const ArenaLayout layout = ArenaLayout::of(initial());
  const at::Tensor wanted = reference(layout);
  Job job{.threads = threads};
  job.options = {
      .num_slots = kSlots, .overlap = overlap, .bucket_bytes = 2000, .first_bucket_bytes = 500};
  harness::run_ranks(ranks, [&](Communicator& comm) {
    expect_same_bits(run_steps(comm, layout, job), wanted, "rank " + std::to_string(comm.rank()));
  });
}

INSTANTIATE_TEST_SUITE_P(GradientSync, AnyRanksAndThreads,
                         testing::Combine(testing::Values(1, 2, 3, 4, 5, 8), testing::Values(1, 2),
                                          testing::Bool()));

TEST(GradientSync, PlainAllReduceGivesCloseNumbers) {
  const ArenaLayout layout = ArenaLayout::of(initial());
  const at::Tensor wanted = reference(layout);
  Job job;
  job.options = {.num_slots = kSlots, .tree = false};
  harness::run_ranks(3, [&](Communicator& comm) {
    EXPECT_TRUE(at::allclose(run_steps(comm, layout, job), wanted, 1e-5, 1e-6));
  });
}

// A communicator that tells when the first exchange begins.
class Spy : public Communicator {
 public:
  explicit Spy(Communicator& inner) : inner_(inner) {}
  std::atomic<bool> began{false};
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  const std::string& name() const override { return inner_.name(); }
  void barrier(const std::string& what) override { inner_.barrier(what); }
  void broadcast(void* d, size_t b, int r, const std::string& w) override {
    inner_.broadcast(d, b, r, w);
  }
  void all_gather(const void* m, void* a, size_t b, const std::string& w) override {
    inner_.all_gather(m, a, b, w);
  }
  void all_reduce(float* d, size_t c, const std::string& w) override { inner_.all_reduce(d, c, w); }
  void send(int p, const void* d, size_t b, const std::string& w) override {
    inner_.send(p, d, b, w);
  }
  void receive(int p, void* d, size_t b, const std::string& w) override {
    inner_.receive(p, d, b, w);
  }
  void exchange(int p, const void* o, size_t ob, void* i, size_t ib,
                const std::string& w) override {
    began = true;
    inner_.exchange(p, o, ob, i, ib, w);
  }
  void cancel() noexcept override { inner_.cancel(); }
  void abort(int code) noexcept override { inner_.abort(code); }

 private:
  Communicator& inner_;
};

std::function<void()> in_backward;  // what the function below does in its backward

struct Gate : torch::autograd::Function<Gate> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    return x.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list gradients) {
    in_backward();
    return gradients;
  }
};

// Backward stops in front of the first layer until an exchange has begun, on both ranks: it can
// only end if the exchange of the last layers does not wait for it.
TEST(GradientSync, ExchangesTheLastLayersWhileBackwardStillRuns) {
  const ArenaLayout layout = ArenaLayout::of(initial());
  ThreadRendezvous rendezvous(2, 30);
  std::vector<std::unique_ptr<Communicator>> comms;
  std::vector<std::unique_ptr<Spy>> spies;
  for (int r = 0; r < 2; ++r) {
    comms.push_back(rendezvous.communicator(r));
    spies.push_back(std::make_unique<Spy>(*comms[r]));
  }
  std::atomic<int> passed{0};
  in_backward = [&] {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!(spies[0]->began && spies[1]->began) && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    passed += spies[0]->began && spies[1]->began;
  };
  std::vector<std::thread> ranks;
  for (int r = 0; r < 2; ++r)
    ranks.emplace_back([&, r] {
      Arena weights(layout);
      weights.load(initial(), "", "test");
      const auto p = make_replica(weights);
      GradientSync sync(*spies[r], layout, {p},
                        {.num_slots = 2, .bucket_bytes = 2000, .first_bucket_bytes = 500});
      sync.begin_step();
      sync.begin_slot(0, 0);
      sync.begin_micro_batch(0, true);
      at::matmul(Gate::apply(at::matmul(at::ones({2, 20}), p[0])), p[4]).sum().backward();
      sync.end_slot(0);
      sync.finish();
      EXPECT_GE(sync.stats().early_buckets, 1);
    });
  for (std::thread& rank : ranks) rank.join();
  EXPECT_EQ(passed, 2);
}

TEST(GradientSync, WithoutOverlapNothingIsExchangedBeforeFinish) {
  const ArenaLayout layout = ArenaLayout::of(initial());
  harness::run_ranks(2, [&](Communicator& comm) {
    Spy spy(comm);
    Arena weights(layout);
    weights.load(initial(), "", "test");
    const auto p = make_replica(weights);
    GradientSync sync(spy, layout, {p}, {.num_slots = 2, .overlap = false, .bucket_bytes = 2000});
    sync.begin_step();
    sync.begin_slot(0, 0);
    sync.begin_micro_batch(0, true);
    loss_of(p, 0, 0).backward();
    sync.end_slot(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(spy.began);
    sync.finish();
    EXPECT_TRUE(spy.began);
    EXPECT_EQ(sync.stats().early_buckets, 0);
  });
}

TEST(GradientSync, AnErrorOfTheExchangeTravelsToFinish) {
  const ArenaLayout layout = ArenaLayout::of(initial());
  const auto errors = harness::try_ranks(
      2,
      [&](Communicator& comm) {
        if (comm.rank() == 1) return;  // dies before its first exchange
        Arena weights(layout);
        const auto p = make_replica(weights);
        GradientSync sync(comm, layout, {p}, {.num_slots = 2});
        sync.begin_step();
        sync.begin_slot(0, 0);
        sync.begin_micro_batch(0, true);
        loss_of(p, 0, 0).backward();
        sync.end_slot(0);
        sync.finish();
      },
      0.3);
  EXPECT_NE(harness::message_of(errors[0]).find("rank 1 did not arrive at 'gradients, bucket 0'"),
            std::string::npos)
      << harness::message_of(errors[0]);
}

TEST(GradientSync, UnwindingInTheMiddleOfAStepNeitherHangsNorCommunicates) {
  const ArenaLayout layout = ArenaLayout::of(initial());
  const auto start = std::chrono::steady_clock::now();
  const auto errors = harness::try_ranks(
      2,
      [&](Communicator& comm) {
        Arena weights(layout);
        const auto p = make_replica(weights);
        if (comm.rank() == 1) return;
        GradientSync sync(comm, layout, {p},
                          {.num_slots = 2, .bucket_bytes = 2000, .first_bucket_bytes = 500});
        sync.begin_step();
        sync.begin_slot(0, 0);
        sync.begin_micro_batch(0, true);
        loss_of(p, 0, 0).backward();  // its exchanges have begun and wait for rank 1
        throw DataError("a broken sample");
      },
      600);
  EXPECT_THROW(std::rethrow_exception(errors[0]), DataError);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(GradientSync, AFrozenParameterHasAGradientOfZero) {
  const ArenaLayout layout = ArenaLayout::of(initial());
  harness::run_ranks(2, [&](Communicator& comm) {
    Arena weights(layout);
    weights.load(initial(), "", "test");
    const auto p = make_replica(weights);
    p[2].requires_grad_(false);
    GradientSync sync(comm, layout, {p}, {.num_slots = 2});
    for (int step = 0; step < 2; ++step) {
      sync.begin_step();
      sync.begin_slot(0, 0);
      sync.begin_micro_batch(0, true);
      loss_of(p, 0, 0).backward();
      sync.end_slot(0);
      sync.finish();
      EXPECT_EQ(sync.gradients().views()[2].abs().max().item<float>(), 0.0f);
      EXPECT_GT(sync.gradients().views()[0].abs().max().item<float>(), 0.0f);
    }
  });
}

TEST(GradientSync, AGradientThatLeavesItsArenaIsFound) {
  const ArenaLayout layout = ArenaLayout::of(initial());
  harness::run_ranks(1, [&](Communicator& comm) {
    Arena weights(layout);
    auto p = make_replica(weights);
    GradientSync sync(comm, layout, {p}, {.num_slots = 1});
    sync.begin_step();
    sync.begin_slot(0, 0);
    sync.begin_micro_batch(0, true);
    p[2].mutable_grad().reset();
    loss_of(p, 0, 0).backward();
    EXPECT_THROW(sync.end_slot(0), InternalError);
  });
}

TEST(GradientSync, RefusesAReplicaThatDoesNotFitTheLayout) {
  const ArenaLayout layout = ArenaLayout::of(initial());
  auto comm = ThreadRendezvous(1, 1);
  auto one = comm.communicator(0);
  Arena weights(layout);
  auto p = make_replica(weights);
  p.pop_back();
  EXPECT_THROW(GradientSync(*one, layout, {p}, {}), ConfigError);
}

}  // namespace
}  // namespace lockstep
