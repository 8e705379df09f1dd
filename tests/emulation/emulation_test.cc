// That the emulated GPU notices what a GPU would punish.
#include "tests/emulation/device.h"

namespace {

template <class... Arguments>
void start(void (*kernel)(Arguments...), unsigned blocks, unsigned threads,
           Arguments... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  cudaLaunchKernelEx(&config, kernel, arguments...);
}

__global__ void half_of_them_wait(int) {
  if (threadIdx.x < 16) __syncthreads();
}
__global__ void write_behind(int* p) { p[8 + threadIdx.x] = 1; }
__global__ void read_far_behind(int* p) { p[threadIdx.x] = p[16 + threadIdx.x]; }
__global__ void shared_before_it_is_written(float* out) {
  __shared__ float x[32];
  out[threadIdx.x] = x[threadIdx.x];
}
__global__ void without_barrier(float* out) {
  __shared__ float x[64];
  x[threadIdx.x] = static_cast<float>(threadIdx.x);
  out[threadIdx.x] = x[63 - threadIdx.x];
}
__global__ void sums(float* out) {
  float x = static_cast<float>(threadIdx.x);
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}

using lockstep::testing::DeviceArray;

TEST(EmulatedGpu, AddsUpAWarp) {
  DeviceArray<float> out(128);
  start(sums, 2, 64, out.get());
  const std::vector<float> values = out.values();
  for (size_t i = 0; i < 128; ++i) EXPECT_EQ(values[i], i % 64 < 32 ? 496.0f : 496.0f + 32 * 32);
}

TEST(EmulatedGpuDeathTest, NoticesABarrierThatSomeThreadsNeverReach) {
  EXPECT_DEATH(start(half_of_them_wait, 1, 32, 0), "never reach");
}

TEST(EmulatedGpuDeathTest, NoticesWhatIsWrittenOrReadBehindAnAllocation) {
  const auto write = [] {
    DeviceArray<int> p(6);
    start(write_behind, 1, 1, p.get() - 2);  // the two integers of padding
  };
  EXPECT_DEATH(write(), "behind an allocation");
  const auto read = [] {
    DeviceArray<int> p(8);
    start(read_far_behind, 1, 1, p.get());
  };
  EXPECT_DEATH(read(), "");
}

TEST(EmulatedGpu, FillsSharedMemoryWithNaN) {
  DeviceArray<float> out(32);
  start(shared_before_it_is_written, 1, 32, out.get());
  for (const float x : out.values()) EXPECT_TRUE(std::isnan(x));
}

TEST(EmulatedGpu, GivesOtherResultsWhereABarrierIsMissing) {
  std::vector<std::vector<float>> results;
  lockstep::testing::in_every_order([&] {
    DeviceArray<float> out(64);
    start(without_barrier, 1, 64, out.get());
    results.push_back(out.values());
  });
  bool differ = false;
  for (size_t i = 0; i < 64; ++i) differ |= std::memcmp(&results[0][i], &results[1][i], 4) != 0;
  EXPECT_TRUE(differ);
}

TEST(FloatBits, GoThereAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const float x = emulation::float16_to_float(half), y = emulation::bfloat16_to_float(half);
    if (x == x) {
      EXPECT_EQ(emulation::float_to_float16(x), half);
    }
    if (y == y) {
      EXPECT_EQ(emulation::float_to_bfloat16(y), half);
    }
  }
  EXPECT_EQ(emulation::float_to_float16(65519.0f), 0x7bff);
  EXPECT_EQ(emulation::float_to_float16(65520.0f), 0x7c00);
  EXPECT_EQ(emulation::float_to_float16(0x1p-25f), 0);    // a tie, to even
  EXPECT_EQ(emulation::float_to_float16(0x1.8p-24f), 2);  // a tie, to even
  EXPECT_EQ(emulation::float_to_float16(1.0f + 0x1p-11f), 0x3c00);
}

}  // namespace
