// Sums of tensors over ranks, with the pairing of the host's tree.
#include "ddp/device_tree.h"

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
    out[i] = static_cast<float>(stream.normal(static_cast<uint64_t>(slot), 1, static_cast<uint64_t>(i)) *
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
        for (int64_t s = tree.local().begin; s < tree.local().end; ++s) mine.push_back(numbers(s, 103));
        tree.sum(mine, "sum");
        EXPECT_TRUE(at::equal(mine.front(), wanted)) << ranks << " ranks, " << slots << " slots";
      });
  }
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
