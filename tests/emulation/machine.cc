#include "tests/emulation/machine.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

// The linker's names for the section that holds all __shared__ variables.
extern "C" char __start_emulated_shared[] __attribute__((weak));
extern "C" char __stop_emulated_shared[] __attribute__((weak));

namespace emulation {

Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr int kWarp = 32;

enum class State { kRuns, kAtBlockBarrier, kAtWarpBarrier, kDone };

// One thread of a block; lives on, and runs a thread of the next block when this one is done.
struct Fiber {
  ucontext_t context{};
  jmp_buf place;
  std::vector<char> stack = std::vector<char>(kStackBytes);
  bool started = false;
  State state = State::kDone;
  Dim3 index;
  int number = 0, exchanges = 0;
};

struct Machine {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<unsigned char> slots;  // two tables a warp
  Fiber* current = nullptr;
  const std::function<void()>* thread = nullptr;
  jmp_buf scheduler;
  Order order = Order::kForward;
  unsigned turns = 1;
  std::map<void*, std::pair<void*, size_t>> allocations;  // → mapping, bytes asked for
};
Machine machine;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "emulated GPU: %s (block %u, %u, thread %d)\n", what, blockIdx.x, blockIdx.y,
               machine.current == nullptr ? -1 : machine.current->number);
  std::abort();
}

void leave(State state) {
  machine.current->state = state;
  if (_setjmp(machine.current->place) == 0) _longjmp(machine.scheduler, 1);
}

void fiber_main() {
  for (;;) {
    (*machine.thread)();
    leave(State::kDone);
  }
}

void enter(Fiber& fiber) {
  machine.current = &fiber;
  threadIdx = fiber.index;
  if (_setjmp(machine.scheduler) != 0) return;
  if (fiber.started) _longjmp(fiber.place, 1);
  fiber.started = true;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.data();
  fiber.context.uc_stack.ss_size = fiber.stack.size();
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiber_main, 0);
  setcontext(&fiber.context);
}

// Lets every thread that can go on go on, each once.
int take_turns(int count) {
  int ran = 0;
  const bool backward = machine.order == Order::kBackward ||
                        (machine.order == Order::kMixed && machine.turns++ % 2 == 0);
  const int shift = machine.order == Order::kMixed
                        ? static_cast<int>(machine.turns * 37 % static_cast<unsigned>(count))
                        : 0;
  for (int i = 0; i < count; ++i) {
    Fiber& fiber =
        *machine.fibers[static_cast<size_t>(((backward ? count - 1 - i : i) + shift) % count)];
    if (fiber.state != State::kRuns) continue;
    enter(fiber);
    ++ran;
  }
  return ran;
}

// Opens the barrier of [begin, end) if all of them wait at it.
bool open(int begin, int end, State barrier) {
  for (int i = begin; i < end; ++i)
    if (machine.fibers[static_cast<size_t>(i)]->state != barrier) return false;
  for (int i = begin; i < end; ++i) machine.fibers[static_cast<size_t>(i)]->state = State::kRuns;
  return true;
}

void run_block(int count) {
  if (__start_emulated_shared != nullptr)
    std::memset(__start_emulated_shared, 0xff,
                static_cast<size_t>(__stop_emulated_shared - __start_emulated_shared));
  for (int i = 0; i < count; ++i) {
    Fiber& fiber = *machine.fibers[static_cast<size_t>(i)];
    const unsigned n = static_cast<unsigned>(i);
    fiber.state = State::kRuns;
    fiber.index = Dim3(n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y);
  }
  for (;;) {
    bool moved = take_turns(count) > 0;
    for (int warp = 0; warp < count; warp += kWarp)
      moved |= open(warp, std::min(warp + kWarp, count), State::kAtWarpBarrier);
    moved |= open(0, count, State::kAtBlockBarrier);
    int done = 0;
    for (int i = 0; i < count; ++i)
      done += machine.fibers[static_cast<size_t>(i)]->state == State::kDone;
    if (done == count) return;
    if (!moved) fail("some threads wait at a barrier that others never reach");
  }
}

}  // namespace

void set_order(Order order) { machine.order = order; }

void run(Dim3 grid, Dim3 block, const std::function<void()>& thread) {
  const int count = static_cast<int>(block.x * block.y * block.z);
  if (count <= 0 || count > 1024 || grid.y > 65'535 || grid.z > 65'535)
    fail("a launch that no GPU accepts");
  while (static_cast<int>(machine.fibers.size()) < count) {
    machine.fibers.push_back(std::make_unique<Fiber>());
    machine.fibers.back()->number = static_cast<int>(machine.fibers.size()) - 1;
  }
  machine.slots.resize(static_cast<size_t>((count + kWarp - 1) / kWarp * 2 * kWarp * 16));
  machine.thread = &thread;
  blockDim = block;
  gridDim = grid;
  for (int i = 0; i < count; ++i) machine.fibers[static_cast<size_t>(i)]->exchanges = 0;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = Dim3(x, y, z);
        run_block(count);
      }
  machine.current = nullptr;
}

int lane() { return machine.current->number % kWarp; }
void block_barrier() { leave(State::kAtBlockBarrier); }
void warp_barrier() { leave(State::kAtWarpBarrier); }

unsigned char* exchange_slots(unsigned mask) {
  if (mask != 0xffffffffu) fail("a warp operation without its whole warp");
  const int warp = machine.current->number / kWarp, table = machine.current->exchanges++ % 2;
  return machine.slots.data() + (warp * 2 + table) * kWarp * 16;
}

void* allocate(size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), padded = (bytes + 15) / 16 * 16;
  const size_t body = (padded + page - 1) / page * page;
  char* mapping = static_cast<char*>(
      mmap(nullptr, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (mapping == MAP_FAILED || mprotect(mapping + body, page, PROT_NONE) != 0) fail("no memory");
  std::memset(mapping, 0xff, body);
  char* data = mapping + body - padded;
  machine.allocations[data] = {mapping, bytes};
  return data;
}

void release(void* pointer) {
  if (pointer == nullptr) return;
  const auto found = machine.allocations.find(pointer);
  if (found == machine.allocations.end()) fail("memory is given back that was not allocated");
  const auto [mapping, bytes] = found->second;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), padded = (bytes + 15) / 16 * 16;
  for (size_t i = bytes; i < padded; ++i)
    if (static_cast<unsigned char*>(pointer)[i] != 0xff)
      fail("bytes behind an allocation were written");
  munmap(mapping, (padded + page - 1) / page * page + page);
  machine.allocations.erase(found);
}

}  // namespace emulation
