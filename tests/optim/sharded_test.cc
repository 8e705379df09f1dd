// An optimizer whose ranks each hold a share of the state gives the bits of a whole one.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/philox.h"
#include "optim/host_update.h"
#include "tests/harness/ranks.h"

namespace lockstep {
namespace {

constexpr int64_t kSteps = 3;

// Four blocks; groups change at parameters inside a block; sizes that are no multiple of a vector.
NamedTensors parameters() {
  return {{"a.weight", at::zeros({100'003})},
          {"a.bias", at::zeros({301})},
          {"b.weight", at::zeros({300, 333})},
          {"b.bias", at::zeros({45})}};
}

void fill(Arena& arena, int64_t purpose) {
  const Stream stream(3, Purpose::kTest);
  for (const ArenaEntry& entry : arena.layout().entries)
    for (int64_t i = entry.offset; i < entry.offset + entry.count; ++i)
      arena.data()[i] = stream.normal(purpose, 0, i);
}

struct Result {
  at::Tensor weights, ema;
  NamedTensors state;
  double norm = 0;
};

// Updates as a training step on the host makes them. With more than one rank every gradient outside
// the own blocks is NaN: nobody may look at it.
Result run(Communicator& comm, const Choice& choice, bool reload) {
  const ArenaLayout layout = ArenaLayout::of(parameters());
  const ShardLayout shard(layout, comm.size(), comm.rank());
  const auto table = optimizers();
  auto optimizer = table.make(choice, shard);
  Arena weights(layout), gradients(layout), ema(layout);
  fill(weights, 0);
  ema.flat().copy_(weights.flat());
  Result result;
  for (int64_t step = 0; step < kSteps; ++step) {
    fill(gradients, 1 + step);
    for (int rank = 0; rank < comm.size(); ++rank)
      if (rank != comm.rank())
        shard.for_owned(rank, 0, layout.size, [&](int64_t begin, int64_t end) {
          gradients.flat()
              .narrow(0, begin, end - begin)
              .fill_(std::numeric_limits<float>::quiet_NaN());
        });
    UpdateSetup setup{optimizer.get(), &weights, &gradients, &ema};
    setup.backward_constant = 0.3;
    setup.clip_norm = 1;
    const PlannedUpdate planned{1e-3 * static_cast<double>(step + 1), EmaMove{false, 0.005f}};
    const UpdateOutcome outcome = HostUpdate(setup, &comm).run(planned, 1, /*finite=*/true);
    EXPECT_TRUE(outcome.updated);
    result.norm = outcome.grad_norm;
    if (!reload) continue;
    // A checkpoint travels by name; here from rank 0 to all, as a file would.
    NamedTensors state = optimizer->gather_state(comm);
    Arena carrier(layout);
    NamedTensors given;
    for (size_t i = 0; i < static_cast<size_t>(optimizer->num_states()) * layout.entries.size();
         ++i) {
      const ArenaEntry& entry = layout.entries[i % layout.entries.size()];
      at::Tensor value =
          comm.rank() == 0 ? state[i].tensor.clone() : at::empty(entry.shape, at::kFloat);
      comm.broadcast(value.data_ptr(), value.nbytes(), 0, "state");
      const char* prefixes[] = {choice.kind == "sgd" ? "momentum." : "exp_avg.", "exp_avg_sq."};
      given.push_back({prefixes[i / layout.entries.size()] + entry.name, value});
    }
    given.push_back({"updates", at::scalar_tensor(step + 1, at::kLong)});
    optimizer = table.make(choice, shard);
    optimizer->load(given, "the other ranks");
  }
  result.weights = weights.flat();
  result.ema = ema.flat();
  result.state = optimizer->gather_state(comm);
  return result;
}

Choice choice_of(const std::string& kind, const std::string& implementation) {
  static const auto table = optimizers();
  Choice choice(table, kind);
  const std::vector<GroupOptions> groups = {{.match = "a.bias", .freeze = true},
                                            {.match = "*.bias", .lr_scale = 3}};
  if (kind == "sgd") {
    auto options = std::make_shared<OptionsOf<SgdOptions>>();
    options->value.momentum = 0.9;
    options->value.implementation = implementation;
    options->value.groups = groups;
    choice.options = options;
  } else {
    auto options = std::make_shared<OptionsOf<AdamWOptions>>();
    options->value.implementation = implementation;
    options->value.groups = groups;
    choice.options = options;
  }
  return choice;
}

class Sharded : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Sharded, AnyNumberOfRanksGivesTheBitsOfAWholeOptimizer) {
  const Choice choice = choice_of(std::get<0>(GetParam()), std::get<1>(GetParam()));
  Result whole;
  harness::run_ranks(1, [&](Communicator& comm) { whole = run(comm, choice, false); });
  ASSERT_EQ(whole.weights.numel(), ArenaLayout::of(parameters()).size);
  for (const int ranks : {2, 3, 4, 7})
    harness::run_ranks(ranks, [&](Communicator& comm) {
      const Result sharded = run(comm, choice, ranks == 3);
      const std::string where =
          std::to_string(ranks) + " ranks, rank " + std::to_string(comm.rank());
      EXPECT_EQ(sharded.norm, whole.norm) << where;
      EXPECT_TRUE(at::equal(sharded.weights, whole.weights)) << where;
      EXPECT_TRUE(at::equal(sharded.ema, whole.ema)) << where;
      if (comm.rank() != 0) return;
      ASSERT_EQ(sharded.state.size(), whole.state.size());
      for (size_t i = 0; i < whole.state.size(); ++i) {
        EXPECT_EQ(sharded.state[i].name, whole.state[i].name);
        EXPECT_TRUE(at::equal(sharded.state[i].tensor, whole.state[i].tensor))
            << where << ", " << whole.state[i].name;
      }
    });
}

INSTANTIATE_TEST_SUITE_P(Optimizers, Sharded,
                         testing::Combine(testing::Values("adamw", "sgd"),
                                          testing::Values("fused", "foreach", "reference")),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::get<1>(info.param);
                         });

TEST(Sharded, ARankHoldsItsShareOfTheStateOnly) {
  const ArenaLayout layout = ArenaLayout::of(parameters());
  const auto table = optimizers();
  const auto share = table.make(Choice(table, "adamw"), ShardLayout(layout, 4, 3));
  EXPECT_EQ(share->num_states(), 2);
  EXPECT_THROW(share->state(), InternalError);
}

}  // namespace
}  // namespace lockstep
