// Dropout on the device: the bits of the CPU twin and of core/philox.h, in both orders of maps and
// all types.
#include "core/philox.h"
#include "kernels/dropout_kernel.h"
#include "tests/emulation/device.h"

namespace lockstep {
namespace {

using namespace testing;

class DropoutKernel : public KernelTest {};

std::vector<int64_t> numbers_of(const Stream& stream, int64_t step,
                                const std::vector<int64_t>& ids) {
  std::vector<int64_t> out = {
      static_cast<int64_t>(uint64_t{stream.key()[1]} << 32 | stream.key()[0]), step};
  out.insert(out.end(), ids.begin(), ids.end());
  return out;
}

void check(int64_t channels, int64_t positions, bool last, FloatType type) {
  const Stream stream(17, Purpose::kDropout);
  const std::vector<int64_t> ids = {0, 5, (int64_t{1} << 33) + 7},
                             numbers = numbers_of(stream, 1234, ids);
  const int64_t elements = channels * positions, first = 128;
  const DropoutShape shape{3,     channels, positions, last, 0.3f, static_cast<float>(1 / 0.7),
                           first, type};
  Tensor x(made_up(static_cast<size_t>(3 * elements), 5), type),
      y(static_cast<size_t>(3 * elements), type), twin(static_cast<size_t>(3 * elements), type);
  DeviceArray<int64_t> there(numbers);
  cuda::dropout(shape, there.get(), x.gpu(), y.gpu(), nullptr);
  cpu::dropout(shape, numbers.data(), x.cpu(), twin.cpu(), nullptr);
  const std::vector<float> out = y.from_gpu(), in = x.from_cpu();
  EXPECT_EQ(out, twin.from_cpu());
  const float kept = rounded({static_cast<float>(1 / 0.7)}, type)[0];
  std::vector<float> wanted;
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t at = 0; at < elements; ++at) {
      const int64_t element = last ? at % channels * positions + at / channels : at;
      const float u = stream.uniform(static_cast<uint64_t>(ids[static_cast<size_t>(row)]), 1234,
                                     static_cast<uint64_t>(first + element));
      wanted.push_back(in[static_cast<size_t>(row * elements + at)] * (u < 0.3f ? 0.0f : kept));
    }
  EXPECT_EQ(out, rounded(wanted, type)) << channels << " x " << positions;
}

TEST_F(DropoutKernel, DropsWhatThePhiloxStreamSays) {
  in_every_order([] {
    for (const bool last : {false, true})
      for (const FloatType type : kAllTypes) {
        check(5, 16, last, type);
        check(6, 9, last, type);
        check(3, 1, last, type);
        check(64, 64, last, type);
      }
  });
}

TEST_F(DropoutKernel, FollowsTheStepInDeviceMemory) {
  const Stream stream(1, Purpose::kDropout);
  const DropoutShape shape{1, 4, 16, true, 0.5f, 2.0f, 0, FloatType::kFloat32};
  Tensor x(std::vector<float>(64, 1.0f), FloatType::kFloat32), y(64, FloatType::kFloat32);
  DeviceArray<int64_t> numbers(numbers_of(stream, 1, {3}));
  const auto drawn = [&](int64_t step) {
    numbers.upload(numbers_of(stream, step, {3}).data());
    cuda::dropout(shape, numbers.get(), x.gpu(), y.gpu(), nullptr);
    return y.from_gpu();
  };
  const std::vector<float> first = drawn(1);
  EXPECT_NE(drawn(2), first);
  EXPECT_EQ(drawn(1), first);
}

}  // namespace
}  // namespace lockstep
