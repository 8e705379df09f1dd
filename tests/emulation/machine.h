// Runs the blocks of a kernel on the CPU: the part behind tests/emulation/include/cuda_runtime.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

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

// Inside a kernel: of the thread whose turn it is.
extern Dim3 threadIdx, blockIdx, blockDim, gridDim;
int lane();
void block_barrier();
void warp_barrier();
// The warp's table for an exchange: 32 slots of 16 bytes. Fails unless the mask names the whole warp.
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
