// Runs the blocks of a kernel on the CPU: the part behind tests/emulation/include/cuda_runtime.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <vector>

namespace emulation {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  Dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// In which order the threads of a block get their turn between two barriers.
enum class Order { kForward, kBackward, kMixed };
void set_order(Order order);

// Runs every block of the grid. Aborts with a message on a barrier that some threads never reach.
void run(Dim3 grid, Dim3 block, const std::function<void()>& thread);

// A kernel that was started on a stream, with the device pointers among its arguments. What it does
// to those in structures shows when it has run.
struct Launch {
  void* stream = nullptr;
  std::vector<const void*> reads, writes, unknown;
  std::function<void()> run;
};
// At once in the tests of kernels (immediate.cc), in the order of streams in the emulated plug-in
// (gpu/kernels.cc).
void submit(const Launch& launch);

template <class Argument>
void note_pointers(Launch& launch, const Argument& argument) {
  if constexpr (std::is_pointer_v<Argument>) {
    (std::is_const_v<std::remove_pointer_t<Argument>> ? launch.reads : launch.writes)
        .push_back(argument);
  } else if constexpr (std::is_class_v<Argument>) {
    static_assert(std::is_trivially_copyable_v<Argument>);
    for (size_t at = 0; at + sizeof(void*) <= sizeof argument; at += sizeof(void*)) {
      const void* word;
      std::memcpy(&word, reinterpret_cast<const char*>(&argument) + at, sizeof word);
      launch.unknown.push_back(word);
    }
  }
}

// Inside a kernel: of the thread whose turn it is.
extern Dim3 threadIdx, blockIdx, blockDim, gridDim;
int lane();
void block_barrier();
void warp_barrier();
// The warp's table for an exchange: 32 slots of 16 bytes. Fails unless the mask names the whole
// warp.
unsigned char* exchange_slots(unsigned mask);

template <class T>
T exchange(unsigned mask, T value, int from) {
  static_assert(sizeof(T) <= 16);
  unsigned char* slots = exchange_slots(mask);
  std::memcpy(slots + 16 * lane(), &value, sizeof(T));
  warp_barrier();
  std::memcpy(&value, slots + 16 * from, sizeof(T));
  return value;
}

// Filled with NaN; ends (rounded up to 16 bytes) at a page that cannot be touched.
void* allocate(size_t bytes);
// Aborts if the bytes behind the allocation were written.
void release(void* pointer);

}  // namespace emulation
