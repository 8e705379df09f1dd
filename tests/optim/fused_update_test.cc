// The update of a device by our kernels, here by their CPU twins, against the host's
// (host_update.h); and which update a device gets.
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "optim/adam.h"
#include "optim/device_update.h"
#include "optim/host_update.h"
#include "optim/measure_update.h"
#include "optim/sgd.h"
#include "tests/harness/ranks.h"

namespace lockstep {
namespace {

NamedTensors parameters() {
  return {{"a.weight", at::sin(at::arange(70'000).to(at::kFloat))},
          {"a.bias", at::ones({7})},
          {"frozen", at::ones({5})}};
}

std::vector<GroupOptions> groups() {
  return {{"*.bias", 0.5, std::nullopt, 0.0, false},
          {"frozen", 1, std::nullopt, std::nullopt, true}};
}

// Weights, gradients, EMA and an optimizer with two groups and a frozen parameter.
struct Side {
  ArenaLayout layout = ArenaLayout::of(parameters());
  Arena weights{layout}, gradients{layout}, ema{layout};
  std::unique_ptr<Optimizer> optimizer;

  explicit Side(bool adam, int ranks = 1, int rank = 0) {
    const ShardLayout shard(layout, ranks, rank);
    weights.load(parameters(), "", "the test");
    ema.flat().copy_(weights.flat());
    AdamWOptions adam_options;
    adam_options.groups = groups();
    SgdOptions sgd_options;
    sgd_options.momentum = 0.9;
    sgd_options.groups = groups();
    if (adam)
      optimizer = make_adam(adam_options, true, shard);
    else
      optimizer = make_sgd(sgd_options, shard);
  }
  void make_gradients(int64_t step) {
    for (size_t i = 0; i < gradients.views().size(); ++i) {
      at::Tensor view = gradients.views()[i];
      view.copy_(at::cos(at::arange(view.numel()).to(at::kFloat) * 0.3 + static_cast<double>(step))
                     .view(view.sizes()));
    }
  }
};

PlannedUpdate planned(int64_t update) {
  return {1e-2 / static_cast<double>(update + 1), ema_move({0.99, 2, false}, update)};
}

constexpr double kConstant = 64, kCount = 50;

void check(bool adam) {
  Side host(adam), device(adam);
  const LossScaleOptions scaling{1024, 2, 1, 10};
  const auto setup_of = [&](Side& side) {
    UpdateSetup setup{side.optimizer.get(), &side.weights, &side.gradients, &side.ema};
    setup.low_weights = at::zeros({side.layout.size}, at::kBFloat16);
    setup.backward_constant = kConstant;
    setup.clip_norm = 1;
    setup.loss_scale = scaling;
    setup.counts.loss_scale = LossScale(scaling).state();
    return setup;
  };
  HostUpdate host_update(setup_of(host));
  const DeviceUpdateSetup setup(setup_of(device));
  const auto update = make_device_update(setup);
  at::Tensor report = at::zeros({DeviceUpdate::kReportSize}, at::kDouble);
  int64_t skipped = 0;
  for (int64_t step = 0; step < 8; ++step) {
    host.make_gradients(step);
    device.make_gradients(step);
    const bool overflow = step == 3 || step == 4;
    if (overflow) host.gradients.data()[77] = device.gradients.data()[77] = INFINITY;
    skipped = overflow ? skipped + 1 : 0;
    EXPECT_EQ(update->loss_scale().item<float>(), host_update.loss_scale());
    const UpdateOutcome outcome =
        host_update.run(planned(host.optimizer->updates()), kCount, /*finite=*/true);
    // The device may be ahead of what the host knows: rows are written for updates up to three
    // behind.
    const int64_t known = std::max<int64_t>(0, host.optimizer->updates() - 1);
    update->run(update->rows(known, planned), at::tensor({2.0, kCount}, at::kDouble), report);
    const double* told = report.const_data_ptr<double>();
    EXPECT_EQ(told[DeviceUpdate::kUpdated], overflow ? 0 : 1) << step;
    EXPECT_EQ(outcome.updated, !overflow) << step;
    EXPECT_EQ(told[DeviceUpdate::kScale], outcome.loss_scale);
    EXPECT_EQ(told[DeviceUpdate::kNextScale], outcome.counts.loss_scale.scale);
    EXPECT_EQ(told[DeviceUpdate::kGoodSteps], outcome.counts.loss_scale.good_steps);
    if (!overflow) {
      EXPECT_EQ(told[DeviceUpdate::kNorm], outcome.grad_norm) << step;
    }
    EXPECT_EQ(told[DeviceUpdate::kUpdates], host.optimizer->updates());
    EXPECT_EQ(told[DeviceUpdate::kSkippedInARow], skipped);
    EXPECT_EQ(outcome.counts.skipped_in_a_row, skipped);
    EXPECT_TRUE(at::equal(device.weights.flat(), host.weights.flat())) << step;
    EXPECT_TRUE(at::equal(device.ema.flat(), host.ema.flat())) << step;
    for (size_t i = 0; i < host.optimizer->flat_states().size(); ++i)
      EXPECT_TRUE(at::equal(device.optimizer->flat_states()[i], host.optimizer->flat_states()[i]))
          << step;
  }
  for (const ArenaEntry& entry : device.layout.entries) {
    if (entry.name == "frozen") continue;
    EXPECT_TRUE(
        at::equal(setup.low_weights.narrow(0, entry.offset, entry.count),
                  device.weights.flat().narrow(0, entry.offset, entry.count).to(at::kBFloat16)));
  }
}

TEST(FusedUpdate, AdamHasTheBitsOfTheHostsStepThroughSkippedSteps) { check(true); }
TEST(FusedUpdate, SgdHasTheBitsOfTheHostsStepThroughSkippedSteps) { check(false); }

// Ranks that own blocks, through a skipped step, against one that owns all.
void check_shares(bool adam, Implementation implementation, double tolerance) {
  const auto run = [&](Communicator& host, std::vector<at::Tensor>& out) {
    Side side(adam, host.size(), host.rank());
    const auto comm = make_host_device_communicator(host);
    const auto queue = make_cpu_device()->make_queue();
    DeviceUpdateSetup setup({side.optimizer.get(), &side.weights, &side.gradients, &side.ema});
    setup.low_weights = side.weights.flat().to(at::kBFloat16);
    setup.backward_constant = kConstant;
    setup.clip_norm = 1;
    setup.choice = ImplementationChoice{implementation, "for the test", "auto"};
    if (host.size() > 1)
      setup.exchange = ShareExchange{comm.get(), [&](const auto& work) { work(*queue); }};
    const auto update = make_device_update(setup);
    at::Tensor report = at::zeros({DeviceUpdate::kReportSize}, at::kDouble);
    for (int64_t step = 0; step < 5; ++step) {
      side.make_gradients(step);
      if (step == 2) side.gradients.data()[77] = INFINITY;
      for (int rank = 0; rank < host.size(); ++rank)
        if (rank != host.rank())
          side.optimizer->shard().for_owned(rank, 0, side.layout.size,
                                            [&](int64_t begin, int64_t end) {
                                              side.gradients.flat()
                                                  .narrow(0, begin, end - begin)
                                                  .fill_(NAN);  // nobody may look at it
                                            });
      update->run(update->rows(std::max<int64_t>(0, step - 1), planned),
                  at::tensor({2.0, kCount}, at::kDouble), report);
    }
    side.optimizer->note_updates(4);
    out = {side.weights.flat(), side.ema.flat(), setup.low_weights, report};
    for (const NamedTensor& state : side.optimizer->gather_state(host)) out.push_back(state.tensor);
  };
  std::vector<at::Tensor> whole;
  harness::run_ranks(1, [&](Communicator& host) { run(host, whole); });
  for (const int ranks : {2, 3})
    harness::run_ranks(ranks, [&](Communicator& host) {
      std::vector<at::Tensor> mine;
      run(host, mine);
      for (size_t i = 0; i < mine.size(); ++i)
        EXPECT_LE((mine[i].to(at::kDouble) - whole[i].to(at::kDouble)).abs().max().item<double>(),
                  tolerance)
            << i << ", rank " << host.rank();
    });
}

TEST(FusedUpdate, SharesGiveTheBitsOfTheWhole) {
  check_shares(true, Implementation::kFused, 0);
  check_shares(false, Implementation::kFused, 0);
}

TEST(FusedUpdate, SharesOfForeachAgreeWithTheWhole) {
  check_shares(true, Implementation::kForeach, 1e-6);
  check_shares(false, Implementation::kForeach, 1e-6);
}

TEST(MeasuredUpdate, PutsBackWhatItChanged) {
  Side side(true);
  const auto device = make_cpu_device();
  const auto queue = device->make_queue();
  DeviceUpdateSetup setup({side.optimizer.get(), &side.weights, &side.gradients, &side.ema});
  setup.counts.updates = 6;
  const at::Tensor weights = side.weights.flat().clone();
  const std::vector<UpdateTime> times = measure_updates(setup, *device, *queue, /*in_graph=*/true);
  ASSERT_EQ(times.size(), 2u);
  for (const UpdateTime& time : times) EXPECT_GT(time.seconds.value_or(0), 0) << time.obstacle;
  EXPECT_TRUE(at::equal(side.weights.flat(), weights));
  EXPECT_TRUE(at::equal(side.ema.flat(), weights));
  for (const at::Tensor& state : side.optimizer->flat_states())
    EXPECT_EQ(state.abs().max().item<float>(), 0);
}

TEST(MeasuredUpdate, TheFastestIsChosenIfItSavesATwentieth) {
  const UpdateTime fused{Implementation::kFused, 1.0e-3, ""};
  const auto choice = [&](const UpdateTime& other) {
    return choose_by_times("adam", {fused, other}, true);
  };
  EXPECT_EQ(choice({Implementation::kForeach, 0.96e-3, ""}).implementation, Implementation::kFused);
  EXPECT_EQ(choice({Implementation::kForeach, 0.9e-3, ""}).implementation,
            Implementation::kForeach);
  const ImplementationChoice failed =
      choice({Implementation::kForeach, std::nullopt, "no such operation"});
  EXPECT_EQ(failed.implementation, Implementation::kFused);
  EXPECT_NE(failed.text.find("fused 1 ms, foreach cannot run: no such operation, as graphs"),
            std::string::npos)
      << failed.text;
  EXPECT_THROW(choose_by_times("adam", {{Implementation::kFused, std::nullopt, "broken"}}, false),
               EnvironmentError);
}

TEST(FusedUpdate, TheImplementationOfADeviceIsChosenAndExplained) {
  EXPECT_EQ(choose_on_device("auto", "adam", true).implementation, Implementation::kFused);
  EXPECT_NE(choose_on_device("auto", "adam", true).text.find("auto: unscaling"), std::string::npos);
  EXPECT_EQ(choose_on_device("auto", "muon", false).implementation, Implementation::kForeach);
  EXPECT_EQ(choose_on_device("foreach", "adam", true).implementation, Implementation::kForeach);
  EXPECT_EQ(choose_on_device("fused", "adam", true).implementation, Implementation::kFused);
  EXPECT_THROW(choose_on_device("fused", "muon", false), ConfigError);
  EXPECT_THROW(choose_on_device("reference", "adam", true), ConfigError);
}

TEST(FusedUpdate, ADeviceUsesItUnlessLibTorchIsAskedFor) {
  Side side(true);
  DeviceUpdateSetup setup({side.optimizer.get(), &side.weights, &side.gradients});
  EXPECT_NE(make_device_update(setup)->choice().find("fused"), std::string::npos);
  AdamWOptions options;
  options.implementation = "foreach";
  const auto plain = make_adam(options, true, side.layout);
  setup.optimizer = plain.get();
  EXPECT_NE(make_device_update(setup)->choice().find("foreach"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
