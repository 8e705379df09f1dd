#include "ddp/shard_layout.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "core/errors.h"
#include "core/philox.h"
#include "ddp/arena_shard.h"
#include "ddp/tree_to_owners.h"
#include "tests/harness/ranks.h"

namespace lockstep {
namespace {

constexpr int64_t kBlock = ArenaLayout::kBlockElements;

// Five blocks, the last of them short; parameters that cross the cuts.
NamedTensors parameters() {
  return {{"a", at::arange(100'003, at::kFloat)},
          {"b", at::arange(7, at::kFloat) - 3},
          {"c", -at::arange(150'000, at::kFloat).view({300, 500})},
          {"d", at::ones({20'000})}};
}

TEST(ShardLayout, BlocksAreDealtOutInTurn) {
  const ArenaLayout arena = ArenaLayout::of(parameters());
  ASSERT_EQ(arena.num_blocks(), 5);
  const int64_t last = arena.size - 4 * kBlock;
  const ShardLayout two(arena, 2, 1);
  EXPECT_EQ(two.num_blocks(0), 3);
  EXPECT_EQ(two.num_blocks(1), 2);
  EXPECT_EQ(two.num_elements(0), 2 * kBlock + last);
  EXPECT_EQ(two.num_elements(1), 2 * kBlock);
  EXPECT_FALSE(two.owns(kBlock - 1));
  EXPECT_TRUE(two.owns(kBlock));
  EXPECT_EQ(two.place(kBlock + 7), 7);               // block 1 is the first of rank 1
  EXPECT_EQ(two.place(3 * kBlock + 7), kBlock + 7);  // block 3 its second
}

TEST(ShardLayout, OneRankOwnsEverythingAtItsPlace) {
  const ArenaLayout arena = ArenaLayout::of(parameters());
  const ShardLayout whole(arena);
  EXPECT_TRUE(whole.whole());
  EXPECT_EQ(whole.num_elements(0), arena.size);
  for (int64_t element : {int64_t{0}, kBlock, arena.size - 1})
    EXPECT_EQ(whole.place(element), element);
}

TEST(ShardLayout, MoreRanksThanBlocksLeaveSomeWithNothing) {
  const ArenaLayout arena = ArenaLayout::of(parameters());
  const ShardLayout eight(arena, 8, 7);
  for (int rank = 0; rank < 8; ++rank) EXPECT_EQ(eight.num_blocks(rank), rank < 5 ? 1 : 0);
  EXPECT_EQ(eight.num_elements(7), 0);
  EXPECT_EQ(ArenaShard(eight).size(), 0);
}

// Closed form: every element has one owner, cuts lie at multiples of 65,536 only, and places in a
// share count up from 0 without gap.
TEST(ShardLayout, SharesPartTheArenaAtBlocksForAnyRanksAndRange) {
  const ArenaLayout arena = ArenaLayout::of(parameters());
  for (int ranks = 1; ranks <= 9; ++ranks) {
    std::vector<int64_t> next(ranks, 0);
    std::vector<int> owners(arena.size, -1);
    int64_t sum = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const ShardLayout shard(arena, ranks, rank);
      shard.for_owned(rank, 0, arena.size, [&](int64_t begin, int64_t end) {
        EXPECT_EQ(begin % kBlock, 0);
        EXPECT_TRUE(end % kBlock == 0 || end == arena.size);
        EXPECT_EQ(shard.place(begin), next[rank]);
        next[rank] += end - begin;
        std::fill(owners.begin() + begin, owners.begin() + end, rank);
      });
      EXPECT_EQ(next[rank], shard.num_elements(rank));
      sum += shard.num_elements(rank);
    }
    EXPECT_EQ(sum, arena.size) << ranks;
    EXPECT_EQ(std::count(owners.begin(), owners.end(), -1), 0) << ranks;
    const ShardLayout shard(arena, ranks, 0);
    for (const auto& [begin, end] :
         {std::pair<int64_t, int64_t>{0, 1}, {kBlock - 1, kBlock + 1}, {5, 5}, {70'000, 250'000}})
      for (int rank = 0; rank < ranks; ++rank)
        EXPECT_EQ(shard.count_owned(rank, begin, end),
                  std::count(owners.begin() + begin, owners.begin() + end, rank));
  }
}

TEST(ArenaShard, LoadsItsBlocksAndGathersWholeTensorsByName) {
  const ArenaLayout arena = ArenaLayout::of(parameters());
  NamedTensors values;
  for (const NamedTensor& parameter : parameters())
    values.push_back({"m." + parameter.name, parameter.tensor});
  for (int ranks : {1, 2, 3, 5, 7})
    harness::run_ranks(ranks, [&](Communicator& comm) {
      ArenaShard shard(ShardLayout(arena, comm.size(), comm.rank()));
      shard.load(values, "m.", "test");
      const NamedTensors all = shard.gather(comm, "m.");
      ASSERT_EQ(all.size(), comm.rank() == 0 ? values.size() : 0);
      if (comm.rank() != 0) return;
      for (size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(all[i].name, values[i].name);
        EXPECT_TRUE(at::equal(all[i].tensor, values[i].tensor))
            << ranks << " ranks, " << all[i].name;
      }
    });
}

TEST(ArenaShard, LoadingIsStrict) {
  const ArenaLayout arena = ArenaLayout::of(parameters());
  ArenaShard shard(ShardLayout(arena, 2, 1));
  NamedTensors values = parameters();
  values.pop_back();
  EXPECT_THROW(shard.load(values, "", "test"), CheckpointError);
  values = parameters();
  values.push_back({"e", at::ones({1})});
  EXPECT_THROW(shard.load(values, "", "test"), CheckpointError);
  values = parameters();
  values[1].tensor = at::ones({8});
  EXPECT_THROW(shard.load(values, "", "test"), CheckpointError);
}

TEST(ArenaShard, OwnersGiveTheirBlocksToAllRanks) {
  // More blocks than travel in one message, so that there are several.
  const ArenaLayout arena = ArenaLayout::of({{"w", at::zeros({39 * kBlock + 12'345})}});
  for (int ranks : {1, 2, 3, 8})
    harness::run_ranks(ranks, [&](Communicator& comm) {
      const ShardLayout shard(arena, comm.size(), comm.rank());
      Arena mine(arena);
      shard.for_owned(shard.rank(), 0, arena.size, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) mine.data()[i] = static_cast<float>(i % 16'777'213);
      });
      all_gather_blocks(comm, shard, mine);
      int64_t wrong = 0;
      for (int64_t i = 0; i < arena.size; ++i)
        wrong += mine.data()[i] != static_cast<float>(i % 16'777'213);
      EXPECT_EQ(wrong, 0) << ranks << " ranks, rank " << comm.rank();
      std::vector<double> values(arena.num_blocks(), -1);
      for (int64_t b = 0; b < arena.num_blocks(); ++b)
        if (shard.owner(b) == comm.rank()) values[b] = 0.5 * static_cast<double>(b);
      all_gather_block_values(comm, shard, values);
      for (int64_t b = 0; b < arena.num_blocks(); ++b)
        EXPECT_EQ(values[b], 0.5 * static_cast<double>(b));
    });
}

TEST(NodesOfRank, AreTheLargestNodesOfTheTree) {
  const auto nodes = [](int64_t slots, int64_t ranks, int64_t rank) {
    return nodes_of_rank(slots, ranks, rank);
  };
  EXPECT_EQ(nodes(8, 2, 1), (std::vector<SlotRange>{{4, 8}}));
  EXPECT_EQ(nodes(8, 3, 1), (std::vector<SlotRange>{{2, 4}, {4, 5}}));  // slots 2, 3, 4
  EXPECT_EQ(nodes(8, 3, 2), (std::vector<SlotRange>{{5, 6}, {6, 8}}));
  EXPECT_EQ(nodes(6, 2, 0), (std::vector<SlotRange>{{0, 2}, {2, 3}}));
  EXPECT_EQ(nodes(8, 8, 5), (std::vector<SlotRange>{{5, 6}}));
}

// Numbers of very different size, so that another order of additions gives other bits.
float number(int64_t slot, int64_t i) {
  const uint64_t hash = splitmix64(static_cast<uint64_t>(slot * 1'000'003 + i));
  return std::ldexp(static_cast<float>(hash >> 40) - 8e6f, static_cast<int>(hash & 15));
}

void expect_tree_bits(int ranks, int64_t slots, int64_t begin, int64_t end) {
  const ArenaLayout arena = ArenaLayout::of(parameters());
  harness::run_ranks(ranks, [&](Communicator& comm) {
    const ShardLayout shard(arena, comm.size(), comm.rank());
    TreeToOwners tree(comm, slots, shard);
    const SlotRange local = slots_of_rank(slots, ranks, comm.rank());
    std::vector<Arena> arenas;
    std::vector<float*> pointers;
    for (int64_t slot = local.begin; slot < local.end; ++slot) {
      Arena& one = arenas.emplace_back(arena);
      for (int64_t i = begin; i < end; ++i) one.data()[i] = number(slot, i);
    }
    for (Arena& one : arenas) pointers.push_back(one.data());
    tree.sum(pointers, begin, end, "sum");
    int64_t wrong = 0;
    shard.for_owned(comm.rank(), begin, end, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        const float wanted =
            tree_sum<float>(0, slots, [&](int64_t slot) { return number(slot, i); });
        wrong += std::memcmp(&wanted, &pointers[0][i], sizeof wanted) != 0;
      }
    });
    EXPECT_EQ(wrong, 0) << ranks << " ranks, " << slots << " slots, rank " << comm.rank();
  });
}

TEST(TreeToOwners, GivesTheBitsOfTheTreeOnOneToEightRanks) {
  const int64_t size = ArenaLayout::of(parameters()).size;
  for (int ranks = 1; ranks <= 8; ++ranks) expect_tree_bits(ranks, 8, 0, size);
}

TEST(TreeToOwners, GivesTheBitsOfTheTreeForSlotsThatAreNoPowerOfTwo) {
  for (int64_t slots : {3, 5, 6, 12})
    for (int ranks : {2, 3, 5})
      if (ranks <= slots) expect_tree_bits(ranks, slots, 60'000, 140'000);
}

TEST(TreeToOwners, AddsRangesThatLieInOneBlockOrNone) {
  for (int ranks : {2, 3, 8}) {
    expect_tree_bits(ranks, 8, 70'000, 70'003);
    expect_tree_bits(ranks, 8, 70'000, 70'000);
  }
}

TEST(TreeToOwners, RefusesMoreRanksThanSlots) {
  const ArenaLayout arena = ArenaLayout::of(parameters());
  const auto errors = harness::try_ranks(3, [&](Communicator& comm) {
    TreeToOwners tree(comm, 2, ShardLayout(arena, comm.size(), comm.rank()));
  });
  EXPECT_THROW(std::rethrow_exception(errors[0]), ConfigError);
}

}  // namespace
}  // namespace lockstep
