// Device memory and made-up numbers for the tests of kernels, on a GPU and on the emulated one.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/float_type.h"
#include "tests/emulation/float_bits.h"
#ifdef LOCKSTEP_EMULATED_GPU
#include "tests/emulation/machine.h"
#endif

namespace lockstep::testing {

inline bool gpu_is_there() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

// Cases of this fixture report themselves as skipped where there is no GPU.
class KernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!gpu_is_there()) GTEST_SKIP() << "no GPU; the same case runs in kernels_emulated_test";
  }
};

// The same kernels with the threads of a block in three orders: results must not depend on it.
template <class Body>
void in_every_order(const Body& body) {
#ifdef LOCKSTEP_EMULATED_GPU
  for (const auto order :
       {emulation::Order::kForward, emulation::Order::kBackward, emulation::Order::kMixed}) {
    emulation::set_order(order);
    body();
  }
  emulation::set_order(emulation::Order::kForward);
#else
  body();
#endif
}

// `count` elements in device memory; with `offset` bytes the first one is not aligned.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes, size_t offset = 0) : bytes_(bytes), offset_(offset) {
    EXPECT_EQ(cudaMalloc(&pointer_, bytes + offset), cudaSuccess);
  }
  DeviceBytes(const DeviceBytes&) = delete;
  ~DeviceBytes() { cudaFree(pointer_); }
  void* get() const { return static_cast<char*>(pointer_) + offset_; }
  void upload(const void* from) {
    EXPECT_EQ(cudaMemcpy(get(), from, bytes_, cudaMemcpyHostToDevice), cudaSuccess);
  }
  void download(void* to) const {
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(to, get(), bytes_, cudaMemcpyDeviceToHost), cudaSuccess);
  }

 private:
  void* pointer_ = nullptr;
  size_t bytes_, offset_;
};

template <class T>
class DeviceArray : public DeviceBytes {
 public:
  explicit DeviceArray(size_t count, size_t offset = 0)
      : DeviceBytes(count * sizeof(T), offset * sizeof(T)), count_(count) {}
  explicit DeviceArray(const std::vector<T>& values, size_t offset = 0)
      : DeviceArray(values.size(), offset) {
    upload(values.data());
  }
  T* get() const { return static_cast<T*>(DeviceBytes::get()); }
  std::vector<T> values() const {
    std::vector<T> out(count_);
    download(out.data());
    return out;
  }

 private:
  size_t count_;
};

// Floats as a kernel's type stores them, and what they are after rounding.
inline std::vector<unsigned char> encode(const std::vector<float>& values, FloatType type) {
  std::vector<unsigned char> out(values.size() * static_cast<size_t>(bytes_of(type)));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = type == FloatType::kBfloat16 ? emulation::float_to_bfloat16(values[i])
                                                       : emulation::float_to_float16(values[i]);
    if (type == FloatType::kFloat32)
      std::memcpy(out.data() + 4 * i, &values[i], 4);
    else
      std::memcpy(out.data() + 2 * i, &half, 2);
  }
  return out;
}
inline std::vector<float> decode(const std::vector<unsigned char>& bytes, FloatType type) {
  std::vector<float> out(bytes.size() / static_cast<size_t>(bytes_of(type)));
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t half = 0;
    if (type == FloatType::kFloat32)
      std::memcpy(&out[i], bytes.data() + 4 * i, 4);
    else
      std::memcpy(&half, bytes.data() + 2 * i, 2);
    if (type == FloatType::kBfloat16) out[i] = emulation::bfloat16_to_float(half);
    if (type == FloatType::kFloat16) out[i] = emulation::float16_to_float(half);
  }
  return out;
}
inline std::vector<float> rounded(const std::vector<float>& values, FloatType type) {
  return decode(encode(values, type), type);
}

// A tensor of the kernel's type in device memory, and its twin in host memory.
class Tensor {
 public:
  Tensor(const std::vector<float>& values, FloatType type, size_t offset = 0)
      : type_(type),
        host_(encode(values, type)),
        device_(host_.size(), offset * static_cast<size_t>(bytes_of(type))) {
    device_.upload(host_.data());
  }
  // Filled with NaN.
  Tensor(size_t count, FloatType type, size_t offset = 0)
      : Tensor(std::vector<float>(count, NAN), type, offset) {}
  void* gpu() const { return device_.get(); }
  void* cpu() { return host_.data(); }
  std::vector<float> from_gpu() const {
    std::vector<unsigned char> bytes(host_.size());
    device_.download(bytes.data());
    return decode(bytes, type_);
  }
  std::vector<float> from_cpu() const { return decode(host_, type_); }
  std::vector<double> exact() const {
    const std::vector<float> values = from_cpu();
    return {values.begin(), values.end()};
  }

 private:
  FloatType type_;
  std::vector<unsigned char> host_;
  DeviceBytes device_;
};

// Numbers between −1 and 1 that look random; the same everywhere.
inline std::vector<float> made_up(size_t count, uint32_t seed, float scale = 1.0f,
                                  float shift = 0.0f) {
  std::vector<float> out(count);
  uint32_t state = seed * 2654435761u + 12345u;
  for (float& value : out) {
    state = state * 1664525u + 1013904223u;
    value = shift + scale * (static_cast<float>(state >> 8) * 0x1p-23f - 1.0f);
  }
  return out;
}

// |value − exact| ≤ tolerance · (1 + |exact|) everywhere. `tolerance`: a few roundings of float32
// in a sum, or half a unit of the type that the result is stored in.
inline double tolerance_of(FloatType type) {
  return type == FloatType::kFloat32    ? 4e-6
         : type == FloatType::kBfloat16 ? 0x1p-8
                                        : 0x1p-11 + 4e-6;
}
inline void expect_close(const std::vector<float>& values, const std::vector<double>& exact,
                         double tolerance, const char* what) {
  ASSERT_EQ(values.size(), exact.size()) << what;
  size_t bad = 0, worst = 0;
  double largest = -1;
  for (size_t i = 0; i < values.size(); ++i) {
    const double error = std::fabs(values[i] - exact[i]) / (1 + std::fabs(exact[i]));
    if (!(error <= tolerance)) ++bad;
    if (!(error <= largest)) largest = error, worst = i;
  }
  EXPECT_EQ(bad, 0u) << what << ": element " << worst << " is " << values[worst] << ", not "
                     << exact[worst] << " (error " << largest << ", allowed " << tolerance << ")";
}
inline std::vector<double> as_double(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

inline constexpr FloatType kAllTypes[] = {FloatType::kFloat32, FloatType::kBfloat16,
                                          FloatType::kFloat16};

}  // namespace lockstep::testing
