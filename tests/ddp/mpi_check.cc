// What ddp_test checks with threads as ranks, over real MPI: run by CTest under mpirun.
//     mpi_check sums | late | differ | latency [KIB]
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "core/errors.h"
#include "core/philox.h"
#include "ddp/communicators.h"
#include "ddp/start_check.h"
#include "ddp/tree.h"

using namespace lockstep;

namespace {

void require(bool condition, const std::string& what) {
  if (!condition) throw InternalError("failed: " + what);
}

float number(int64_t slot, int64_t i) {
  const Stream stream(7, Purpose::kTest);
  return stream.normal(slot, 1, i) *
         std::pow(2.0f, static_cast<float>(stream.below(slot, 0, i, 24)) - 12);
}

template <class T>
void check_tree(Communicator& comm, int64_t slots, int64_t count) {
  TreeReduction tree(comm, slots);
  std::vector<std::vector<T>> mine;
  std::vector<T*> pointers;
  for (int64_t s = tree.local().begin; s < tree.local().end; ++s) {
    auto& buffer = mine.emplace_back(count);
    for (int64_t i = 0; i < count; ++i) buffer[i] = number(s, i);
  }
  for (auto& buffer : mine) pointers.push_back(buffer.data());
  tree.sum<T>(pointers, count, "tree");
  for (int64_t i = 0; i < count; ++i) {
    const T wanted = tree_sum<T>(0, slots, [&](int64_t s) { return T(number(s, i)); });
    require(std::memcmp(&wanted, &mine[0][i], sizeof(T)) == 0,
            fmt::format("tree of {} slots, element {}", slots, i));
  }
}

void check_sums(Communicator& comm) {
  for (int64_t slots : {8, 12, 13}) {
    check_tree<float>(comm, slots, 1);
    check_tree<float>(comm, slots, 1000);
    check_tree<double>(comm, slots, 500);
  }
  check_tree<float>(comm, 8, 20'001);  // long enough to be halved
  std::vector<float> ones(100'000, 1.0f);
  comm.all_reduce(ones.data(), ones.size(), "all-reduce");
  require(ones == std::vector<float>(100'000, static_cast<float>(comm.size())), "all-reduce");
  std::string text = comm.rank() == 0 ? "hello" : "     ";
  comm.broadcast(text.data(), text.size(), 0, "broadcast");
  require(text == "hello", "broadcast");
  const auto all = all_gather_strings(comm, std::string(comm.rank(), 'r'), "strings");
  for (int r = 0; r < comm.size(); ++r) require(all[r].size() == static_cast<size_t>(r), "strings");
  check_start(comm, {{"config hash", "abc"}});
}

// Rank 1 sleeps; rank 2 waits for it, rank 0 for rank 2: the error names rank 1.
void check_late(Communicator& comm) {
  float x = 0;
  if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(30));
  if (comm.rank() == 2) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  comm.receive((comm.rank() + 2) % 3, &x, sizeof(x), "late exchange");
}

void measure_latency(Communicator& comm, int64_t bytes) {
  TreeReduction tree(comm, comm.size());
  std::vector<float> data(bytes / sizeof(float), 1e-9f);
  float* pointer = data.data();
  const int rounds = bytes > 1'000'000 ? 50 : 2000;
  for (int i = 0; i < rounds / 10; ++i) tree.sum<float>({&pointer, 1}, std::ssize(data), "warm-up");
  comm.barrier("start");
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) tree.sum<float>({&pointer, 1}, std::ssize(data), "latency");
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (comm.rank() == 0)
    fmt::print("{} ranks, {} KiB: {:.1f} us a tree\n", comm.size(), bytes / 1024,
               1e6 * seconds / rounds);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "sums";
  std::unique_ptr<Communicator> comm;
  try {
    comm = make_communicator("mpi", {.timeout_seconds = mode == "late" ? 2.0 : 60.0});
    if (mode == "sums") check_sums(*comm);
    if (mode == "late") check_late(*comm);
    if (mode == "differ") check_start(*comm, {{"config hash", comm->rank() == 2 ? "abd" : "abc"}});
    if (mode == "latency") measure_latency(*comm, (argc > 2 ? std::atoll(argv[2]) : 30) * 1024);
    comm->close();
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.message());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // lets the others print theirs
    if (comm) comm->abort(static_cast<int>(error.code()));
    return static_cast<int>(error.code());
  }
}
