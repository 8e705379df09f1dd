#include "ddp/slot_threads.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "core/errors.h"

namespace lockstep {
namespace {

TEST(SlotThreads, EachThreadRunsItsContiguousSlotsInOrder) {
  SlotThreads threads(3);
  std::vector<std::vector<int64_t>> slots(3);
  for (int round = 0; round < 100; ++round) {
    for (auto& list : slots) list.clear();
    threads.run(8, [&](int thread, int64_t slot) { slots[thread].push_back(slot); });
    EXPECT_EQ(slots[0], (std::vector<int64_t>{0, 1}));
    EXPECT_EQ(slots[1], (std::vector<int64_t>{2, 3, 4}));
    EXPECT_EQ(slots[2], (std::vector<int64_t>{5, 6, 7}));
  }
}

TEST(SlotThreads, StayTheSameThreadsWithOneIntraOpThreadEach) {
  SlotThreads threads(2);
  std::set<std::thread::id> ids;
  std::mutex mutex;
  for (int round = 0; round < 5; ++round)
    threads.run(2, [&](int, int64_t) {
      EXPECT_EQ(at::get_num_threads(), 1);
      std::lock_guard lock(mutex);
      ids.insert(std::this_thread::get_id());
    });
  EXPECT_EQ(ids.size(), 2u);
}

TEST(SlotThreads, TheErrorOfTheLowestSlotTravels) {
  SlotThreads threads(4);
  std::atomic<int> ran{0};
  for (int round = 0; round < 20; ++round) {
    try {
      threads.run(8, [&](int, int64_t slot) {
        ++ran;
        if (slot >= 3) throw DataError("slot " + std::to_string(slot));
      });
      FAIL() << "nothing was thrown";
    } catch (const DataError& error) {
      EXPECT_EQ(error.fact(), "slot 3");
    }
  }
  EXPECT_EQ(ran, 20 * 6);                // slots 5 and 7 are left out
  threads.run(8, [&](int, int64_t) {});  // and the threads go on
}

TEST(SlotThreads, FewerSlotsThanThreadsLeavesSomeIdle) {
  SlotThreads threads(4);
  std::atomic<int> ran{0};
  threads.run(1, [&](int, int64_t) { ++ran; });
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace lockstep
