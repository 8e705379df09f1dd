// Philox fills on the device against core/philox.h, and that a replay with another step draws other
// numbers.
#include "tensor/random_fill.h"
#include "tests/emulation/device.h"

namespace lockstep {
namespace {

using namespace testing;

class RandomFill : public KernelTest {};

void check(int64_t elements) {
  const Stream stream(17, Purpose::kNoise);
  const std::vector<int64_t> ids = {0, 5, (int64_t{1} << 33) + 7};
  const int64_t step = 1234;
  const RandomRows shape = random_rows(stream, 3, elements);
  DeviceArray<int64_t> rows(ids), now(std::vector<int64_t>{step});
  DeviceArray<float> uniform(static_cast<size_t>(3 * elements)),
      normal(static_cast<size_t>(3 * elements));
  cuda::fill_uniform(shape, rows.get(), now.get(), uniform.get(), nullptr);
  cuda::fill_normal(shape, rows.get(), now.get(), normal.get(), nullptr);
  std::vector<float> twin(static_cast<size_t>(3 * elements)), twin_normal(twin.size());
  cpu::fill_uniform(shape, ids.data(), &step, twin.data(), nullptr);
  cpu::fill_normal(shape, ids.data(), &step, twin_normal.data(), nullptr);
  const std::vector<float> u = uniform.values(), n = normal.values();
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t e = 0; e < elements; ++e) {
      const size_t i = static_cast<size_t>(row * elements + e);
      const auto id = static_cast<uint64_t>(ids[row]), element = static_cast<uint64_t>(e);
      EXPECT_EQ(u[i], stream.uniform(id, step, element));
      EXPECT_EQ(twin[i], u[i]);
      EXPECT_EQ(twin_normal[i], stream.normal(id, step, element));
      EXPECT_NEAR(n[i], twin_normal[i],
                  2e-7 * (1 + std::fabs(n[i])));  // another library's logarithm, in double
    }
}

TEST_F(RandomFill, GivesTheNumbersOfThePhiloxStreams) {
  for (const int64_t elements : {1, 4, 7, 64, 1001}) check(elements);
}

TEST_F(RandomFill, DrawsOtherNumbersWhenTheStepOnTheDeviceChanges) {
  const RandomRows shape = random_rows(Stream(1, Purpose::kTest), 1, 64);
  DeviceArray<int64_t> ids(std::vector<int64_t>{3}), step(std::vector<int64_t>{1});
  DeviceArray<float> out(64);
  cuda::fill_normal(shape, ids.get(), step.get(), out.get(), nullptr);
  const std::vector<float> first = out.values();
  step.upload(std::vector<int64_t>{2}.data());
  cuda::fill_normal(shape, ids.get(), step.get(), out.get(), nullptr);
  EXPECT_NE(out.values(), first);
  step.upload(std::vector<int64_t>{1}.data());
  cuda::fill_normal(shape, ids.get(), step.get(), out.get(), nullptr);
  EXPECT_EQ(out.values(), first);
}

}  // namespace
}  // namespace lockstep
