// NCCL's calls over sockets between processes of one machine: every pair of ranks has a connection.
// A collective goes through rank 0, which adds in the order of ranks.
#include <nccl.h>

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/emulation/gpu/timeline.h"

struct ncclComm {
  int rank = 0, size = 1;
  std::vector<int> peers;  // sockets; -1 for itself
  std::atomic<bool> failed{false};
};

namespace {

using emulation::span;
using emulation::Work;

constexpr auto kMeetingTime = std::chrono::seconds(60);

struct Grouped {
  ncclComm* comm;
  emulation::StreamId stream;
  int peer;
  bool sends;
  void* data;
  size_t bytes;
};
thread_local int depth = 0;
thread_local std::vector<Grouped> grouped;

emulation::StreamId id_of(cudaStream_t stream) {
  if (stream == nullptr) emulation::blame("NCCL was called on the default stream");
  return reinterpret_cast<emulation::StreamId>(stream);
}

sockaddr_un address_of(const ncclUniqueId& id, int rank, socklen_t& length) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = std::string(id.internal) + "-" + std::to_string(rank);
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

bool transfer(int socket, char* data, size_t bytes, bool sends) {
  struct Count {
    Count() { ++emulation::transfers(); }
    ~Count() { --emulation::transfers(); }
  } count;
  while (bytes > 0) {
    const ssize_t moved =
        sends ? send(socket, data, bytes, MSG_NOSIGNAL) : recv(socket, data, bytes, 0);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    data += moved;
    bytes -= static_cast<size_t>(moved);
  }
  return true;
}

bool send_to(ncclComm* comm, int peer, const void* data, size_t bytes) {
  return transfer(comm->peers[static_cast<size_t>(peer)],
                  static_cast<char*>(const_cast<void*>(data)), bytes, true);
}
bool receive_from(ncclComm* comm, int peer, void* data, size_t bytes) {
  return transfer(comm->peers[static_cast<size_t>(peer)], static_cast<char*>(data), bytes, false);
}

size_t size_of(ncclDataType_t type) { return type == ncclFloat64 ? 8 : 4; }

template <class T>
void add(void* sum, const void* more, size_t count) {
  for (size_t i = 0; i < count; ++i) static_cast<T*>(sum)[i] += static_cast<const T*>(more)[i];
}

// All ranks' `bytes` at rank 0, side by side; then `combine` there, and `back` bytes to each rank
// from its place.
using Combine = std::function<std::vector<char>(const std::vector<char>& all)>;
bool through_first(ncclComm* comm, const void* in, size_t bytes, void* out, size_t back,
                   const Combine& combine) {
  if (comm->rank != 0) return send_to(comm, 0, in, bytes) && receive_from(comm, 0, out, back);
  std::vector<char> all(bytes * static_cast<size_t>(comm->size));
  std::memcpy(all.data(), in, bytes);
  for (int rank = 1; rank < comm->size; ++rank)
    if (!receive_from(comm, rank, all.data() + bytes * static_cast<size_t>(rank), bytes))
      return false;
  const std::vector<char> result = combine(all);  // back bytes, or back bytes a rank
  const auto part = [&](int rank) {
    return result.data() + (result.size() == back ? 0 : back * static_cast<size_t>(rank));
  };
  std::memcpy(out, part(0), back);
  for (int rank = 1; rank < comm->size; ++rank)
    if (!send_to(comm, rank, part(rank), back)) return false;
  return true;
}

Combine sum(size_t count, ncclDataType_t type, int ranks) {
  return [=](const std::vector<char>& all) {
    const size_t bytes = count * size_of(type);
    std::vector<char> total(all.begin(), all.begin() + static_cast<ptrdiff_t>(bytes));
    for (int rank = 1; rank < ranks; ++rank)
      (type == ncclFloat64
           ? add<double>
           : add<float>)(total.data(), all.data() + bytes * static_cast<size_t>(rank), count);
    return total;
  };
}

ncclResult_t queue(const char* what, ncclComm* comm, cudaStream_t stream, emulation::Span reads,
                   emulation::Span writes, const std::function<bool()>& run) {
  if (comm->failed) return ncclRemoteError;
  emulation::submit(id_of(stream), Work{what, {reads}, {writes}, [comm, run] {
                                          if (!comm->failed && !run()) comm->failed = true;
                                        }});
  return ncclSuccess;
}

}  // namespace

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::random_device random;
  std::snprintf(id->internal, sizeof id->internal, "lockstep-emulated-nccl-%08x%08x", random(),
                random());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* out, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t*) {
  auto comm = std::make_unique<ncclComm>();
  comm->rank = rank;
  comm->size = ranks;
  comm->peers.assign(static_cast<size_t>(ranks), -1);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = 0;
  const sockaddr_un own = address_of(id, rank, length);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&own), length) != 0 ||
      listen(listener, ranks) != 0)
    return ncclSystemError;
  const auto end = std::chrono::steady_clock::now() + kMeetingTime;
  for (int peer = 0; peer < rank; ++peer) {
    const int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_un there = address_of(id, peer, length);
    while (connect(connection, reinterpret_cast<const sockaddr*>(&there), length) != 0) {
      if (std::chrono::steady_clock::now() > end) return ncclSystemError;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    comm->peers[static_cast<size_t>(peer)] = connection;
    if (!send_to(comm.get(), peer, &rank, sizeof rank)) return ncclSystemError;
  }
  const timeval limit{.tv_sec = std::chrono::seconds(kMeetingTime).count(), .tv_usec = 0};
  setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  for (int more = rank + 1; more < ranks; ++more) {
    int connection = -1;
    do connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    while (connection < 0 && errno == EINTR);
    int peer = 0;
    if (connection < 0 || !transfer(connection, reinterpret_cast<char*>(&peer), sizeof peer, false))
      return ncclSystemError;
    comm->peers[static_cast<size_t>(peer)] = connection;
  }
  close(listener);
  *out = comm.release();
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  return *state = comm->failed ? ncclRemoteError : ncclSuccess, ncclSuccess;
}

ncclResult_t ncclCommRevoke(ncclComm_t comm, int) {
  comm->failed = true;
  for (const int peer : comm->peers)
    if (peer >= 0) shutdown(peer, SHUT_RDWR);
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  for (const int peer : comm->peers)
    if (peer >= 0) close(peer);
  delete comm;
  return ncclSuccess;
}

const char* ncclGetLastError(ncclComm_t) { return ""; }
const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclSuccess ? "no error" : "remote process exited or there was a network error";
}

ncclResult_t ncclAllReduce(const void* in, void* out, size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * size_of(type);
  return queue("an all-reduce", comm, stream, span(in, bytes), span(out, bytes), [=] {
    return through_first(comm, in, bytes, out, bytes, sum(count, type, comm->size));
  });
}

ncclResult_t ncclReduceScatter(const void* in, void* out, size_t count, ncclDataType_t type,
                               ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * size_of(type), all = bytes * static_cast<size_t>(comm->size);
  return queue("a reduce-scatter", comm, stream, span(in, all), span(out, bytes), [=] {
    return through_first(comm, in, all, out, bytes,
                         sum(count * static_cast<size_t>(comm->size), type, comm->size));
  });
}

// Elsewhere than at its root the buffer is as good as lost.
ncclResult_t ncclReduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t,
                        int root, ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * size_of(type);
  return queue("a reduction", comm, stream, span(in, bytes), span(out, bytes), [=] {
    const bool ok = through_first(comm, in, bytes, out, bytes, sum(count, type, comm->size));
    if (comm->rank != root) std::memset(out, 0xff, bytes);
    return ok;
  });
}

ncclResult_t ncclAllGather(const void* in, void* out, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * size_of(type), all = bytes * static_cast<size_t>(comm->size);
  return queue("an all-gather", comm, stream, span(in, bytes), span(out, all), [=] {
    return through_first(comm, in, bytes, out, all,
                         [](const std::vector<char>& parts) { return parts; });
  });
}

ncclResult_t ncclBroadcast(const void* in, void* out, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * size_of(type);
  return queue("a broadcast", comm, stream, span(in, bytes), span(out, bytes), [=] {
    return through_first(comm, in, bytes, out, bytes, [=](const std::vector<char>& all) {
      const auto begin = all.begin() + static_cast<ptrdiff_t>(bytes * static_cast<size_t>(root));
      return std::vector<char>(begin, begin + static_cast<ptrdiff_t>(bytes));
    });
  });
}

ncclResult_t ncclGroupStart() { return ++depth, ncclSuccess; }

ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  grouped.push_back(
      {comm, id_of(stream), peer, true, const_cast<void*>(from), count * size_of(type)});
  return depth > 0 ? ncclSuccess : ncclGroupEnd();
}

ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  grouped.push_back({comm, id_of(stream), peer, false, to, count * size_of(type)});
  return depth > 0 ? ncclSuccess : ncclGroupEnd();
}

// Sends on a thread of their own: both sides of an exchange send first.
ncclResult_t ncclGroupEnd() {
  if (depth > 0 && --depth > 0) return ncclSuccess;
  const std::vector<Grouped> calls = std::exchange(grouped, {});
  if (calls.empty()) return ncclSuccess;
  ncclComm* comm = calls.front().comm;
  if (comm->failed) return ncclRemoteError;
  Work work{"a send or receive", {}, {}, [comm, calls] {
              std::atomic<bool> ok{true};
              std::thread sender([&] {
                for (const Grouped& call : calls)
                  if (call.sends && !send_to(comm, call.peer, call.data, call.bytes)) ok = false;
              });
              for (const Grouped& call : calls)
                if (!call.sends && !receive_from(comm, call.peer, call.data, call.bytes))
                  ok = false;
              sender.join();
              if (!ok) comm->failed = true;
            }};
  for (const Grouped& call : calls)
    (call.sends ? work.reads : work.writes).push_back(span(call.data, call.bytes));
  emulation::submit(calls.front().stream, std::move(work));
  return ncclSuccess;
}
