// The device communicator over NCCL 2.28.
//
// The communicator is non-blocking: only then is an abort safe at any time. After every call the
// state is polled until NCCL has launched it, since its launches run on a thread of its own. A
// watcher looks for asynchronous errors and missed deadlines ten times a second. When it finds one
// it revokes the communicator, which stops kernels in flight, so that the training thread gets on,
// learns of it in check() and unwinds: that destroys the recorded graphs. Only then may the
// communicator be aborted: ncclCommAbort waits until no graph refers to it (NCCL 2.28.9,
// src/init.cc).
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include <ATen/core/Tensor.h>

#include "core/errors.h"
#include "ddp/cuda_parts.h"
#include "tensor/cuda_plugin.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLook = std::chrono::milliseconds(100);
constexpr int kCallsOfGroup = 512;  // NCCL bounds the operations of a group
constexpr auto kAbortLimit = std::chrono::seconds(10);

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

ncclDataType_t type_of(const at::Tensor& data) {
  if (data.scalar_type() == at::kFloat) return ncclFloat32;
  if (data.scalar_type() == at::kDouble) return ncclFloat64;
  throw InternalError("NCCL was given a tensor that is neither float32 nor float64");
}

cudaStream_t stream_of(const DeviceQueue& queue) {
  return static_cast<cudaStream_t>(queue.handle());
}

class NcclCommunicator final : public DeviceCommunicator {
 public:
  NcclCommunicator(Communicator& host, int device, double timeout_seconds)
      : timeout_(timeout_seconds), device_(device), rank_(host.rank()), size_(host.size()) {
    // NCCL refuses two ranks on one GPU of one machine; by other names they are two machines.
    const char* share = std::getenv("LOCKSTEP_SHARE_GPU");
    if (share != nullptr && std::string(share) == "1")
      setenv("NCCL_HOSTID", fmt::format("lockstep-rank-{}", rank_).c_str(), 0);
    ncclUniqueId id{};
    // A rank 0 that cannot make one sends zeros, so that no rank waits for it.
    const ncclResult_t made = rank_ == 0 ? ncclGetUniqueId(&id) : ncclSuccess;
    host.broadcast(&id, sizeof id, 0, "NCCL's id");
    throw_on(made, "NCCL's id");
    if (cudaSetDevice(device) != cudaSuccess)
      throw EnvironmentError(fmt::format("GPU {} cannot be used", device));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    const ncclResult_t started = ncclCommInitRankConfig(&comm_, size_, id, rank_, &config);
    if (started != ncclInProgress) throw_on(started, "start of NCCL");
    settle("start of NCCL");
    watcher_ = std::thread([this] { watch_loop(); });
  }

  // Graphs that use the communicator are gone when this runs (see above).
  ~NcclCommunicator() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    if (watcher_.joinable()) watcher_.join();
    // Whether peers are still there is unknown, so no call that waits for them; and abort has a
    // limit.
    struct Ending {
      std::mutex mutex;
      std::condition_variable changed;
      bool done = false;
    };
    const auto ending = std::make_shared<Ending>();
    std::thread([comm = comm_, device = device_, ending] {
      cudaSetDevice(device);
      ncclCommAbort(comm);
      const std::lock_guard lock(ending->mutex);
      ending->done = true;
      ending->changed.notify_all();
    }).detach();
    std::unique_lock lock(ending->mutex);
    ending->changed.wait_for(lock, kAbortLimit, [&] { return ending->done; });
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::string& name() const override { return name_; }
  bool recordable() const override { return true; }

  void all_reduce(const at::Tensor& data, DeviceQueue& queue, const std::string& what) override {
    call(what, [&] {
      return ncclAllReduce(data.data_ptr(), data.data_ptr(), static_cast<size_t>(data.numel()),
                           type_of(data), ncclSum, comm_, stream_of(queue));
    });
  }

  void broadcast(const at::Tensor& data, int root, DeviceQueue& queue,
                 const std::string& what) override {
    call(what, [&] {
      return ncclBroadcast(data.data_ptr(), data.data_ptr(), static_cast<size_t>(data.numel()),
                           type_of(data), root, comm_, stream_of(queue));
    });
  }

  // Stripes of blocks go by reduce-scatter, in place, what is left at their ends by a reduction to
  // one rank; both bring a buffer once around the ring. One group, so that NCCL launches them
  // together.
  void reduce_to_owners(const std::vector<OwnedRange>& ranges, DeviceQueue& queue,
                        const std::string& what) override {
    in_groups(ranges, what, [&](const OwnedRange& first, bool stripe) {
      const at::Tensor& values = first.values;
      const auto count = static_cast<size_t>(values.numel());
      char* data = static_cast<char*>(values.data_ptr());
      if (stripe)
        return ncclReduceScatter(data, data + values.nbytes() * static_cast<size_t>(rank_), count,
                                 type_of(values), ncclSum, comm_, stream_of(queue));
      return ncclReduce(data, data, count, type_of(values), ncclSum, first.owner, comm_,
                        stream_of(queue));
    });
  }

  void gather_from_owners(const std::vector<OwnedRange>& ranges, DeviceQueue& queue,
                          const std::string& what) override {
    in_groups(ranges, what, [&](const OwnedRange& first, bool stripe) {
      const at::Tensor& values = first.values;
      const auto count = static_cast<size_t>(values.numel());
      char* data = static_cast<char*>(values.data_ptr());
      if (stripe)
        return ncclAllGather(data + values.nbytes() * static_cast<size_t>(rank_), data, count,
                             type_of(values), comm_, stream_of(queue));
      return ncclBroadcast(data, data, count, type_of(values), first.owner, comm_,
                           stream_of(queue));
    });
  }

  void exchange(int peer, const at::Tensor& out, const at::Tensor& in, DeviceQueue& queue,
                const std::string& what) override {
    call(what, [&] {
      ncclResult_t result = ncclGroupStart();
      if (result == ncclSuccess && out.defined())
        result = ncclSend(out.data_ptr(), static_cast<size_t>(out.numel()), type_of(out), peer,
                          comm_, stream_of(queue));
      if (going(result) && in.defined())
        result = ncclRecv(in.data_ptr(), static_cast<size_t>(in.numel()), type_of(in), peer, comm_,
                          stream_of(queue));
      const ncclResult_t ended = ncclGroupEnd();
      return going(result) ? ended : result;
    });
  }

  void watch(const std::string& what, std::shared_ptr<const DeviceMark> end) override {
    const std::lock_guard lock(mutex_);
    in_flight_.push_back({what, std::move(end), Clock::now()});
  }

  void check() override {
    const std::lock_guard lock(failure_mutex_);
    if (failure_) throw *failure_;
  }

 private:
  struct InFlight {
    std::string what;
    std::shared_ptr<const DeviceMark> end;
    Clock::time_point begin;
  };

  // Calls one(first range, is it a stripe's) for each stripe and each single range, many in a
  // group.
  template <class One>
  void in_groups(const std::vector<OwnedRange>& ranges, const std::string& what, const One& one) {
    for (size_t i = 0; i < ranges.size();)
      call(what, [&] {
        ncclResult_t result = ncclGroupStart();
        for (int calls = 0; i < ranges.size() && calls < kCallsOfGroup && going(result); ++calls) {
          const size_t stripe = stripe_at(ranges, i, size_);
          result = one(ranges[i], stripe > 0);
          i += std::max<size_t>(stripe, 1);
        }
        const ncclResult_t ended = ncclGroupEnd();
        return going(result) ? ended : result;
      });
  }

  static bool going(ncclResult_t result) {
    return result == ncclSuccess || result == ncclInProgress;
  }

  template <class Call>
  void call(const std::string& what, const Call& nccl) {
    check();
    const std::lock_guard lock(mutex_);
    const ncclResult_t result = nccl();
    if (result != ncclInProgress) throw_on(result, what);
    settle(what);
  }

  // Until NCCL has done on the host what it was asked for.
  void settle(const std::string& what) {
    const auto start = Clock::now();
    for (int64_t round = 0;; ++round) {
      ncclResult_t state = ncclSuccess;
      throw_on(ncclCommGetAsyncError(comm_, &state), what);
      if (state == ncclSuccess) return;
      if (state != ncclInProgress) throw_on(state, what);
      if (seconds_since(start) > timeout_)
        throw CommError(fmt::format("NCCL did not get through '{}' on rank {} within {:.3g} s",
                                    what, rank_, timeout_),
                        "see the logs of the other ranks");
      if (round > 1000) std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

  void throw_on(ncclResult_t result, const std::string& what) const {
    if (result == ncclSuccess) return;
    throw CommError(error_text(result, what),
                    "see the logs of the other ranks; NCCL_DEBUG=INFO makes NCCL talk");
  }

  std::string error_text(ncclResult_t result, const std::string& what) const {
    const char* detail = comm_ == nullptr ? "" : ncclGetLastError(comm_);
    return fmt::format("NCCL failed at '{}' on rank {}: {}{}{}", what, rank_,
                       ncclGetErrorString(result), detail != nullptr && *detail != '\0' ? ": " : "",
                       detail == nullptr ? "" : detail);
  }

  void watch_loop() {
    cudaSetDevice(device_);
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kLook, [&] { return ending_; })) {
      if (const std::optional<CommError> found = look()) {
        ncclCommRevoke(comm_, 0);
        const std::lock_guard failure_lock(failure_mutex_);
        failure_ = found;
        return;
      }
    }
  }

  // Forgets what has ended; an error if something failed or is late.
  std::optional<CommError> look() {
    while (!in_flight_.empty() && in_flight_.front().end->reached()) in_flight_.pop_front();
    const std::string what = in_flight_.empty() ? "idle" : in_flight_.front().what;
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
    const ncclResult_t result = asked != ncclSuccess ? asked : state;
    if (result != ncclSuccess && result != ncclInProgress)
      return CommError(error_text(result, what), "see the logs of the other ranks");
    if (in_flight_.empty() || seconds_since(in_flight_.front().begin) < timeout_)
      return std::nullopt;
    return CommError(
        fmt::format("'{}' was not done within {:.3g} s on rank {}", what, timeout_, rank_),
        "see the logs of the other ranks; raise ddp.timeout_seconds if a rank may be that slow");
  }

  const double timeout_;
  const int device_, rank_, size_;
  const std::string name_ = "nccl";
  ncclComm_t comm_ = nullptr;
  std::mutex mutex_;  // NCCL's calls and what follows
  std::condition_variable changed_;
  std::deque<InFlight> in_flight_;
  bool ending_ = false;
  std::mutex failure_mutex_;
  std::optional<CommError> failure_;
  std::thread watcher_;
};

std::unique_ptr<DeviceCommunicator> make_nccl(Communicator& host, int device,
                                              double timeout_seconds) {
  return std::make_unique<NcclCommunicator>(host, device, timeout_seconds);
}

}  // namespace
}  // namespace lockstep

extern "C" __attribute__((visibility("default"))) const lockstep::ddp::CudaParts* lockstep_ddp_cuda(
    int abi) {
  static constexpr lockstep::ddp::CudaParts parts{&lockstep::make_nccl};
  return abi == lockstep::kCudaPluginAbi ? &parts : nullptr;
}
