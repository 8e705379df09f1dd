// A sampler's step on the device against the host's loop: the same bits, but for the exponential of
// a learned variance.
#include <cmath>

#include "core/philox.h"
#include "kernels/sampler_kernel.h"
#include "tests/emulation/device.h"

namespace lockstep {
namespace {

using namespace testing;

class SamplerStepKernel : public KernelTest {};

std::vector<float> numbers(int64_t count, uint64_t id) {
  std::vector<float> out(static_cast<size_t>(count));
  normal_row(Stream(1, Purpose::kTest), id, 0, out.data(), count);
  return out;
}

void check(const std::vector<double>& row, int64_t images, int64_t elements, bool learned) {
  const SamplerShape shape{images, elements, learned ? 2 * elements : elements};
  std::vector<double> table(kSamplerNumbers, 7.0);  // row 0 is not the one
  table.insert(table.end(), row.begin(), row.end());
  const std::vector<float> x = numbers(images * elements, 1), start = numbers(images * elements, 2),
                           noise = numbers(images * elements, 3);
  const std::vector<float> output = numbers(images * shape.output_elements, 4);
  DeviceArray<double> tables(table);
  DeviceArray<int64_t> now(std::vector<int64_t>{1});
  DeviceArray<float> xs(x), starts(start), outputs(output), noises(noise);
  cuda::sampler_step(shape, tables.get(), now.get(), xs.get(), starts.get(), outputs.get(),
                     noises.get(), nullptr);
  std::vector<float> host_x = x, host_start = start;
  const int64_t one = 1;
  cpu::sampler_step(shape, table.data(), &one, host_x.data(), host_start.data(), output.data(),
                    noise.data(), nullptr);
  EXPECT_EQ(starts.values(), host_start);
  const std::vector<float> got = xs.values();
  for (size_t i = 0; i < got.size(); ++i) {
    if (learned)
      EXPECT_NEAR(got[i], host_x[i], 1e-6 * (1 + std::fabs(host_x[i])));
    else
      EXPECT_EQ(got[i], host_x[i]);
  }
}

TEST_F(SamplerStepKernel, HasTheBitsOfTheHostsLoop) {
  for (const int64_t elements : {1, 7, 48}) {
    check({0.9, -0.3, -1, 1, 0.2, 0.7, 0.1, 0, 0, 0, 0, 0}, 3, elements, false);
    check({0.9, -0.3, -HUGE_VAL, HUGE_VAL, 0.2, 0.7, 0, -0.4, 0.3, 0, 0, 0}, 3, elements, false);
    check({0.9, -0.3, -1, 1, 0.2, 0.7, 0, 0, 0.3, -4, -3, 1}, 3, elements, true);
    check({0.9, -0.3, -1, 1, 0.2, 0.7, 0, 0, 0, -4, -3, 1}, 3, elements, true);
  }
}

TEST_F(SamplerStepKernel, KeepsNotANumber) {
  DeviceArray<double> table(std::vector<double>{1, 0, -1, 1, 0.5, 0.5, 0, 0, 0, 0, 0, 0});
  DeviceArray<int64_t> now(std::vector<int64_t>{0});
  DeviceArray<float> x(std::vector<float>{NAN, 3, 0.5f}), start(3),
      output(std::vector<float>{0, 0, 0});
  cuda::sampler_step({1, 3, 3}, table.get(), now.get(), x.get(), start.get(), output.get(), nullptr,
                     nullptr);
  EXPECT_TRUE(std::isnan(start.values()[0]) && std::isnan(x.values()[0]));
  EXPECT_EQ(start.values()[1], 1);
  EXPECT_EQ(x.values()[2], 0.5f);
}

}  // namespace
}  // namespace lockstep
