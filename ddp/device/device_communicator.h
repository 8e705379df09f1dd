// Adds up tensors over the ranks where they lie: on GPUs by NCCL (nccl_cuda.cc), else through the
// ranks' host communicator.
//
// Calls only queue work; the host goes on. A watcher thread turns what goes wrong later, a failed
// transfer or a missed deadline, into a CommError that check() throws on the training thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ddp/communicator.h"
#include "ddp/shard_layout.h"
#include "tensor/device.h"

namespace lockstep {

// A part of a buffer that all ranks have, and who is to hold its values.
struct OwnedRange {
  int owner = 0;
  at::Tensor values;  // flat
};

// One per rank. All ranks make the same calls in the same order; one thread at a time. The tensors
// are contiguous and outlive the queued work; float32 or float64.
class DeviceCommunicator {
 public:
  virtual ~DeviceCommunicator() = default;  // does not wait for peers

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const std::string& name() const = 0;  // "nccl", "host"
  // True if its calls may be recorded in a DeviceGraph.
  virtual bool recordable() const = 0;

  // Collective, in place: the sum over ranks, in an order of the library's own.
  virtual void all_reduce(const at::Tensor& data, DeviceQueue& queue, const std::string& what) = 0;
  // Collective.
  virtual void broadcast(const at::Tensor& data, int root, DeviceQueue& queue,
                         const std::string& what) = 0;
  // Collective. Each range's sum over ranks, at its owner; elsewhere the range is spoilt. All ranks
  // give the same list; blocks of equal size that lie side by side and belong to ranks 0, 1, … n−1
  // go fastest. By default every rank gets every sum.
  virtual void reduce_to_owners(const std::vector<OwnedRange>& ranges, DeviceQueue& queue,
                                const std::string& what);
  // Collective. The owner's values of each range on all ranks.
  virtual void gather_from_owners(const std::vector<OwnedRange>& ranges, DeviceQueue& queue,
                                  const std::string& what);
  // With `peer`, both directions at once; an undefined tensor means none.
  virtual void exchange(int peer, const at::Tensor& out, const at::Tensor& in, DeviceQueue& queue,
                        const std::string& what) = 0;

  // From now on `what` has ddp.timeout_seconds until `end` is reached.
  virtual void watch(const std::string& what, std::shared_ptr<const DeviceMark> end) = 0;
  // Throws CommError if the watcher has found one. Cheap.
  virtual void check() = 0;
};

// Through `host`, whose memory the data visit. `host` outlives the result.
std::unique_ptr<DeviceCommunicator> make_host_device_communicator(Communicator& host);

// Collective. NCCL on a GPU, `host` itself on a CPU; LOCKSTEP_DEVICE_COMM=host in the environment
// asks for the host on a GPU too (two ranks on one GPU). Throws CommError if the ranks do not meet
// within `timeout_seconds`.
std::unique_ptr<DeviceCommunicator> make_device_communicator(Communicator& host,
                                                             const Device& device,
                                                             double timeout_seconds);

// The blocks of [begin, end) of an arena with their owners, in order.
std::vector<OwnedRange> owned_ranges(const ShardLayout& layout, const at::Tensor& arena,
                                     int64_t begin, int64_t end);

// How many ranges from `first` on are a stripe: as many as there are ranks, of equal size, side by
// side in memory, owned by ranks 0 … n−1 in turn. 0: they are none. A pure function.
size_t stripe_at(const std::vector<OwnedRange>& ranges, size_t first, int ranks);

// Waits until `mark` is reached or the watcher of `comm` (may be null) finds an error, which is
// thrown.
void wait_for(const DeviceMark& mark, DeviceCommunicator* comm);

}  // namespace lockstep
