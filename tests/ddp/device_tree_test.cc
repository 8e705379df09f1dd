// Sums of tensors over ranks, with the pairing of the host's tree.
#include "ddp/device/device_tree.h"
#include "ddp/device/device_tree_to_owners.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/philox.h"
#include "tests/harness/ranks.h"

namespace lockstep {
namespace {

at::Tensor numbers(int64_t slot, int64_t count) {
  const Stream stream(7, Purpose::kTest);
  at::Tensor out = at::empty({count});
  for (int64_t i = 0; i < count; ++i)
    out[i] =
        static_cast<float>(stream.normal(static_cast<uint64_t>(slot), 1, static_cast<uint64_t>(i)) *
                           std::pow(2.0, static_cast<double>(i % 24) - 12));
  return out;
}

at::Tensor expected(int64_t lo, int64_t hi, int64_t count) {
  if (hi - lo == 1) return numbers(lo, count);
  const int64_t middle = tree_split(lo, hi);
  return expected(lo, middle, count) + expected(middle, hi, count);
}

TEST(DeviceTree, GivesTheSameBitsOnAnyNumberOfRanks) {
  const auto device = make_cpu_device();
  for (const int64_t slots : {1, 3, 4, 6, 8}) {
    const at::Tensor wanted = expected(0, slots, 103);
    for (int ranks = 1; ranks <= slots; ++ranks)
      harness::run_ranks(ranks, [&](Communicator& host) {
        const auto comm = make_host_device_communicator(host);
        const auto queue = device->make_queue();
        DeviceTree tree(*comm, *queue, slots);
        std::vector<at::Tensor> mine;
        for (int64_t s = tree.local().begin; s < tree.local().end; ++s)
          mine.push_back(numbers(s, 103));
        tree.sum(mine, "sum");
        EXPECT_TRUE(at::equal(mine.front(), wanted)) << ranks << " ranks, " << slots << " slots";
      });
  }
}

// Three blocks and a bit; ranges that begin and end inside of blocks, as buckets do.
TEST(DeviceTreeToOwners, GivesOwnersTheBitsOfTheTree) {
  const auto device = make_cpu_device();
  const int64_t block = ArenaLayout::kBlockElements;
  const ArenaLayout layout = ArenaLayout::of({{"w", at::zeros({3 * block + 160})}});
  for (const int64_t slots : {3, 8}) {
    std::vector<at::Tensor> values;
    for (int64_t slot = 0; slot < slots; ++slot)
      values.push_back(at::sin(at::arange(layout.size) * 0.37 + slot) * std::pow(10.0, slot - 3));
    std::vector<at::Tensor> whole;
    for (const at::Tensor& value : values) whole.push_back(value.clone());
    sum_slots_here(whole, 0, 0, slots);
    for (const int ranks : {2, 3})
      harness::run_ranks(ranks, [&](Communicator& host) {
        const auto comm = make_host_device_communicator(host);
        const auto queue = device->make_queue();
        const ShardLayout shard(layout, ranks, comm->rank());
        DeviceTreeToOwners tree(*comm, *queue, slots, shard);
        const SlotRange local = slots_of_rank(slots, ranks, comm->rank());
        std::vector<at::Tensor> mine;
        for (int64_t s = local.begin; s < local.end; ++s)
          mine.push_back(values[static_cast<size_t>(s)].clone());
        for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{
                 {2 * block + 48, layout.size}, {16, 2 * block + 48}, {0, 16}})
          tree.sum(mine, begin, end, "sum");
        shard.for_owned(comm->rank(), 0, layout.size, [&](int64_t from, int64_t to) {
          EXPECT_TRUE(at::equal(mine.front().narrow(0, from, to - from),
                                whole.front().narrow(0, from, to - from)))
              << ranks << " ranks, " << slots << " slots, block " << from / block;
        });
      });
  }
}

TEST(DeviceCommunicator, ReducesToOwnersAndGathersFromThem) {
  const auto device = make_cpu_device();
  const int64_t block = ArenaLayout::kBlockElements;
  const ArenaLayout layout = ArenaLayout::of({{"w", at::zeros({2 * block + 32})}});
  harness::run_ranks(2, [&](Communicator& host) {
    const auto comm = make_host_device_communicator(host);
    const auto queue = device->make_queue();
    const ShardLayout shard(layout, 2, comm->rank());
    at::Tensor arena = at::arange(layout.size).to(at::kFloat) * (comm->rank() + 1);
    const auto ranges = owned_ranges(shard, arena, 0, layout.size);
    ASSERT_EQ(ranges.size(), 3u);
    comm->reduce_to_owners(ranges, *queue, "sum");
    shard.for_owned(comm->rank(), 0, layout.size, [&](int64_t from, int64_t to) {
      EXPECT_TRUE(
          at::equal(arena.narrow(0, from, to - from), at::arange(from, to).to(at::kFloat) * 3));
    });
    comm->gather_from_owners(ranges, *queue, "all");
    EXPECT_TRUE(at::equal(arena, at::arange(layout.size).to(at::kFloat) * 3));
  });
}

TEST(DeviceCommunicator, FindsStripesOfWholeBlocks) {
  const int64_t block = ArenaLayout::kBlockElements;
  const ArenaLayout layout = ArenaLayout::of({{"w", at::zeros({5 * block})}});
  const at::Tensor arena = at::zeros({layout.size});
  const ShardLayout shard(layout, 2, 0);
  const auto ranges =
      owned_ranges(shard, arena, 16, 5 * block);  // a short block 0, then 1, 2, 3, 4
  ASSERT_EQ(ranges.size(), 5u);
  EXPECT_EQ(stripe_at(ranges, 0, 2), 0u) << "unequal sizes";
  EXPECT_EQ(stripe_at(ranges, 1, 2), 0u) << "begins with rank 1's block";
  EXPECT_EQ(stripe_at(ranges, 2, 2), 2u);
  EXPECT_EQ(stripe_at(ranges, 4, 2), 0u) << "half a stripe";
}

TEST(DeviceCommunicator, AddsUpOverTheHost) {
  const auto device = make_cpu_device();
  harness::run_ranks(3, [&](Communicator& host) {
    const auto comm = make_host_device_communicator(host);
    const auto queue = device->make_queue();
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      const at::Tensor data = at::full({5}, comm->rank() + 1.0, dtype);
      comm->all_reduce(data, *queue, "sum");
      EXPECT_TRUE(at::equal(data, at::full({5}, 6.0, dtype)));
    }
    const at::Tensor told = at::full({2}, static_cast<double>(comm->rank()), at::kFloat);
    comm->broadcast(told, 2, *queue, "from rank 2");
    EXPECT_TRUE(at::equal(told, at::full({2}, 2.0f)));
    EXPECT_FALSE(comm->recordable()) << "what visits the host cannot be recorded";
  });
}

}  // namespace
}  // namespace lockstep
