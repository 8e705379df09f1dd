#include "tasks/graphed_network.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

DenoiserInput input_of(double x, int64_t t) {
  DenoiserInput input;
  input.x = at::full({2, 3}, x, at::kFloat);
  input.t = at::full({2}, t, at::kLong);
  return input;
}

at::Tensor formula(const DenoiserInput& in) { return in.x * 2 + in.t.to(at::kFloat).unsqueeze(1); }

TEST(GraphedNetwork, AnswersLikeTheNetworkBeforeAndAfterRecording) {
  const auto device = make_cpu_device();
  GraphedNetwork network(*device, formula);
  for (int64_t pass = 0; pass < 6; ++pass) {
    const DenoiserInput input = input_of(0.5 * static_cast<double>(pass), 10 - pass);
    EXPECT_TRUE(at::equal(network(input), formula(input))) << pass;
    EXPECT_EQ(network.is_recorded(), pass >= GraphedNetwork::kWarmUp) << pass;
  }
}

TEST(GraphedNetwork, AnswersAreNotOverwrittenByLaterOnes) {
  const auto device = make_cpu_device();
  GraphedNetwork network(*device, formula);
  const at::Tensor first = network(input_of(1, 0)), second = network(input_of(2, 0)), third = network(input_of(3, 0));
  EXPECT_EQ(first[0][0].item<float>(), 2);
  EXPECT_EQ(second[0][0].item<float>(), 4);
  EXPECT_EQ(third[0][0].item<float>(), 6);
}

// A device that records nothing.
class NoGraph final : public DeviceGraph {
 public:
  void record(DeviceQueue&, const std::function<void()>&) override { throw std::runtime_error("not permitted"); }
  void replay(DeviceQueue&) override { FAIL() << "nothing was recorded"; }
};
class DeviceWithoutGraphs final : public Device {
 public:
  at::Device where() const override { return at::kCPU; }
  std::string describe() const override { return ""; }
  std::unique_ptr<DeviceQueue> make_queue() override { return cpu_->make_queue(); }
  std::unique_ptr<DeviceGraph> make_graph() override { return std::make_unique<NoGraph>(); }
  at::Tensor pinned(at::IntArrayRef sizes, at::ScalarType dtype) override { return cpu_->pinned(sizes, dtype); }
  void synchronize() override {}
  DeviceMemory memory() const override { return {}; }

 private:
  const std::unique_ptr<Device> cpu_ = make_cpu_device();
};

TEST(GraphedNetwork, GoesOnPassByPassWhereNothingCanBeRecorded) {
  DeviceWithoutGraphs device;
  GraphedNetwork network(device, formula);
  for (int64_t pass = 0; pass < 5; ++pass) {
    const DenoiserInput input = input_of(static_cast<double>(pass), pass);
    EXPECT_TRUE(at::equal(network(input), formula(input))) << pass;
  }
  EXPECT_FALSE(network.is_recorded());
}

}  // namespace
}  // namespace lockstep
