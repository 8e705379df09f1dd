// Norm, clip, loss scale, AdamW, SGD and EMA as the device runs them: equal bits with the CPU.
#include "optim/kernels/update_kernels.h"

#include "optim/adam.h"
#include "optim/clip.h"
#include "optim/ema.h"
#include "optim/loss_scale.h"
#include "tests/emulation/device.h"

namespace lockstep {
namespace {

using namespace testing;

class UpdateKernels : public KernelTest {};

template <class T>
DeviceArray<T> one(const T& value) {
  return DeviceArray<T>(std::vector<T>{value});
}

double device_norm(const std::vector<float>& gradients, FloatType type, float multiplier,
                   int ranks = 1) {
  const int64_t size = static_cast<int64_t>(gradients.size()), blocks = (size + 65'535) / 65'536;
  Tensor values(gradients, type);
  UpdateRule rule;
  rule.backward_constant = multiplier;
  DeviceArray<UpdateTotals> totals = one(UpdateTotals{0, 1});
  DeviceArray<UpdateControl> control = one(UpdateControl{});
  DeviceArray<UpdateRow> rows = one(UpdateRow{0, 0, 0});
  DeviceArray<double> sums(static_cast<size_t>(blocks));
  for (int rank = 0; rank < ranks; ++rank)
    cuda::sum_blocks({values.gpu(), size, type}, ranks, rank, rule, totals.get(), control.get(),
                     sums.get(), nullptr);
  cuda::finish_norm(sums.get(), blocks, rule, totals.get(), rows.get(), control.get(), nullptr,
                    nullptr);
  EXPECT_EQ(control.values()[0].multiplier, multiplier);
  EXPECT_EQ(control.values()[0].updates, 1);
  return control.values()[0].norm;
}

double cpu_norm(const std::vector<float>& gradients, float multiplier) {
  ArenaLayout layout;
  layout.size = static_cast<int64_t>(gradients.size());
  Arena arena(layout);
  std::copy(gradients.begin(), gradients.end(), arena.data());
  return gradient_norm(arena, multiplier);
}

TEST_F(UpdateKernels, TheNormHasTheBitsOfTheCpu) {
  for (const size_t size : {16u, 1000u, 2048u, 65'536u, 65'552u, 200'016u, 330'000u}) {
    const std::vector<float> gradients = made_up(size, 7, 3);
    EXPECT_EQ(device_norm(gradients, FloatType::kFloat32, 0.37f), cpu_norm(gradients, 0.37f))
        << size;
    EXPECT_EQ(device_norm(gradients, FloatType::kFloat32, 0.37f, 4), cpu_norm(gradients, 0.37f))
        << size;  // rank 3 may own nothing
    for (const FloatType type : {FloatType::kBfloat16, FloatType::kFloat16})
      EXPECT_EQ(device_norm(gradients, type, 2.0f), cpu_norm(rounded(gradients, type), 2.0f))
          << size;
  }
}

TEST_F(UpdateKernels, TheNormIsThatOfDoublePrecision) {
  const std::vector<float> gradients = made_up(100'000, 3, 2);
  double sum = 0;
  for (const float g : gradients) sum += static_cast<double>(g) * g;
  EXPECT_NEAR(device_norm(gradients, FloatType::kFloat32, 1.0f), std::sqrt(sum),
              1e-10 * std::sqrt(sum));
}

TEST_F(UpdateKernels, TheTreeOverBlocksIsThatOfTheCpu) {
  for (const size_t blocks : {1u, 2u, 3u, 7u, 8u, 13u, 100u, 3001u}) {
    std::vector<double> sums(blocks);
    for (size_t i = 0; i < blocks; ++i) sums[i] = 1.0 / static_cast<double>(i * i + 1);
    DeviceArray<double> device(sums);
    UpdateControl twin;
    DeviceArray<UpdateControl> control = one(twin);
    DeviceArray<UpdateTotals> totals = one(UpdateTotals{0, 1});
    DeviceArray<UpdateRow> rows = one(UpdateRow{0, 0, 0});
    const UpdateTotals totals_cpu{0, 1};
    const UpdateRow row{0, 0, 0};
    cuda::finish_norm(device.get(), static_cast<int64_t>(blocks), {}, totals.get(), rows.get(),
                      control.get(), nullptr, nullptr);
    cpu::finish_norm(sums.data(), static_cast<int64_t>(blocks), {}, &totals_cpu, &row, &twin,
                     nullptr, nullptr);
    EXPECT_EQ(control.values()[0].norm, twin.norm) << blocks;
  }
}

// A training of some updates on a device and on the CPU, with rings of three rows.
struct Training {
  static constexpr int64_t kRows = 3, kSize = 16 * 1100;
  UpdateRule rule;
  std::vector<UpdatePiece> pieces;
  std::vector<UpdateRow> rows = std::vector<UpdateRow>(kRows);
  std::vector<AdamFactors> adam = std::vector<AdamFactors>(kRows * 2);
  std::vector<SgdFactors> sgd = std::vector<SgdFactors>(kRows * 2);
  UpdateControl control;
  std::vector<float> weights = made_up(kSize, 1), ema = weights;
  std::vector<float> state0 = std::vector<float>(kSize), state1 = std::vector<float>(kSize);
  std::vector<uint16_t> low = std::vector<uint16_t>(kSize);
  DeviceArray<float> d_weights{weights}, d_ema{ema}, d_state0{state0}, d_state1{state1};
  DeviceArray<uint16_t> d_low{low};
  UpdateReport report{};
  DeviceArray<UpdateControl> d_control = one(control);
  DeviceArray<UpdateReport> d_report = one(report);
  DeviceArray<UpdateRow> d_rows{rows};
  DeviceArray<AdamFactors> d_adam{adam};
  DeviceArray<SgdFactors> d_sgd{sgd};
  bool momentum = true, with_low = true;
  FloatType low_type = FloatType::kBfloat16;

  Training() {
    rule.backward_constant = 8;
    rule.clip_norm = 1.5f;
    rule.rows = kRows;
    // Two groups, a frozen stretch, and a short last piece.
    for (int64_t begin = 0; begin < kSize; begin += kPieceElements) {
      const int64_t count = std::min<int64_t>(kPieceElements, kSize - begin);
      pieces.push_back({begin, begin, static_cast<int32_t>(count),
                        begin == 4096 ? kFrozenGroup : static_cast<int32_t>(begin / 4096 % 2)});
    }
    pieces.back().count -= 3;  // a tail that no pack holds
  }

  // The rows of updates `update` and the two after it, as a host writes them ahead.
  void write_rows(int64_t update) {
    AdamWOptions options;
    for (int64_t u = update; u < update + kRows; ++u) {
      const auto move = ema_move({0.99, 2, false}, u);
      rows[u % kRows] = {u, move ? (u == 0 ? 2 : 1) : 0, move ? move->weight : 0};
      for (int group = 0; group < 2; ++group) {
        adam[u % kRows * 2 + group] =
            adam_factors(options, group == 0, 1e-2 / static_cast<double>(u + 1), 0.1, u + 1);
        sgd[u % kRows * 2 + group] = {0.1f,       0.01f, 0.9f, group == 0 ? 1.0f : 0.8f,
                                      group == 0, u == 0};
      }
    }
    d_rows.upload(rows.data());
    d_adam.upload(adam.data());
    d_sgd.upload(sgd.data());
  }

  void step(const std::vector<float>& gradients, FloatType type, bool use_adam, double count = 5,
            double loss = 2) {
    Tensor g(gradients, type);
    const UpdateTotals totals{loss, count};
    DeviceArray<UpdateTotals> d_totals = one(totals);
    std::vector<double> sums(1);
    DeviceArray<double> d_sums(1);
    const UpdateArrays on_gpu{d_weights.get(),
                              {g.gpu(), kSize, type},
                              momentum ? d_state0.get() : nullptr,
                              d_state1.get(),
                              d_ema.get(),
                              with_low ? d_low.get() : nullptr,
                              low_type};
    const UpdateArrays on_cpu{weights.data(),
                              {g.cpu(), kSize, type},
                              momentum ? state0.data() : nullptr,
                              state1.data(),
                              ema.data(),
                              with_low ? low.data() : nullptr,
                              low_type};
    DeviceArray<UpdatePiece> d_pieces(pieces);
    const UpdatePlan plan{d_pieces.get(), static_cast<int64_t>(pieces.size()), d_rows.get(), 2};
    const UpdatePlan plan_cpu{pieces.data(), static_cast<int64_t>(pieces.size()), rows.data(), 2};
    cuda::sum_blocks(on_gpu.gradients, 1, 0, rule, d_totals.get(), d_control.get(), d_sums.get(),
                     nullptr);
    cuda::finish_norm(d_sums.get(), 1, rule, d_totals.get(), d_rows.get(), d_control.get(),
                      d_report.get(), nullptr);
    cpu::sum_blocks(on_cpu.gradients, 1, 0, rule, &totals, &control, sums.data(), nullptr);
    cpu::finish_norm(sums.data(), 1, rule, &totals, rows.data(), &control, &report, nullptr);
    if (use_adam) {
      cuda::adam_update(on_gpu, plan, d_adam.get(), d_control.get(), nullptr);
      cpu::adam_update(on_cpu, plan_cpu, adam.data(), &control, nullptr);
    } else {
      cuda::sgd_update(on_gpu, plan, d_sgd.get(), d_control.get(), nullptr);
      cpu::sgd_update(on_cpu, plan_cpu, sgd.data(), &control, nullptr);
    }
  }

  void expect_equal() {
    const UpdateControl device = d_control.values()[0];
    EXPECT_EQ(device.updates, control.updates);
    EXPECT_EQ(device.multiplier, control.multiplier);
    EXPECT_EQ(device.clip, control.clip);
    EXPECT_TRUE(device.norm == control.norm || std::isnan(control.norm));
    EXPECT_EQ(device.loss_scale, control.loss_scale);
    EXPECT_EQ(device.good_steps, control.good_steps);
    EXPECT_EQ(device.skipped_in_a_row, control.skipped_in_a_row);
    EXPECT_EQ(static_cast<int>(device.outcome), static_cast<int>(control.outcome));
    const UpdateReport told = d_report.values()[0];
    EXPECT_TRUE(told.norm == report.norm || std::isnan(report.norm));
    EXPECT_EQ(std::memcmp(&told.updated, &report.updated, sizeof(UpdateReport) - sizeof(double)),
              0);
    EXPECT_EQ(d_weights.values(), weights);
    EXPECT_EQ(d_ema.values(), ema);
    EXPECT_EQ(d_state0.values(), state0);
    EXPECT_EQ(d_state1.values(), state1);
    EXPECT_EQ(d_low.values(), low);
  }
};

TEST_F(UpdateKernels, AdamHasTheBitsOfTheCpuInOneLaunch) {
  for (const FloatType type : kAllTypes)
    in_every_order([&] {
      Training training;
      training.low_type = type == FloatType::kFloat16 ? FloatType::kFloat16 : FloatType::kBfloat16;
      for (uint32_t update = 0; update < 4; ++update) {
        training.write_rows(update);
        training.step(made_up(Training::kSize, 10 + update, 0.5f), type, true);
        training.expect_equal();
      }
      EXPECT_NE(training.weights, made_up(Training::kSize, 1));
      EXPECT_LT(training.control.clip, 1.0f);
    });
}

TEST_F(UpdateKernels, SgdHasTheBitsOfTheCpu) {
  for (const bool momentum : {true, false}) {
    Training training;
    training.momentum = momentum;
    training.with_low = false;
    for (uint32_t update = 0; update < 3; ++update) {
      training.write_rows(update);
      training.step(made_up(Training::kSize, 10 + update), FloatType::kFloat32, false);
      training.expect_equal();
    }
  }
}

TEST_F(UpdateKernels, AStepThatOverflowsLeavesNoTrace) {
  Training training;
  training.rule.scales_loss = true;
  training.control.loss_scale = 1024;
  training.d_control.upload(&training.control);
  training.write_rows(0);
  training.step(made_up(Training::kSize, 1), FloatType::kFloat16, true);
  const std::vector<float> weights = training.weights, ema = training.ema, state0 = training.state0;
  std::vector<float> gradients = made_up(Training::kSize, 2);
  gradients[777] = INFINITY;
  training.step(gradients, FloatType::kFloat16, true);
  training.expect_equal();
  EXPECT_EQ(training.weights, weights);
  EXPECT_EQ(training.ema, ema);
  EXPECT_EQ(training.state0, state0);
  EXPECT_EQ(training.control.updates, 1);
  EXPECT_EQ(training.control.loss_scale, 512);
  EXPECT_EQ(training.control.skipped_in_a_row, 1);
  training.step(made_up(Training::kSize, 3), FloatType::kFloat16, true, 5,
                NAN);  // a loss that was not finite
  training.expect_equal();
  EXPECT_EQ(training.control.loss_scale, 256);
  training.step(made_up(Training::kSize, 3), FloatType::kFloat16, true);
  training.expect_equal();
  EXPECT_EQ(training.control.updates, 2);
  EXPECT_EQ(training.control.skipped_in_a_row, 0);
}

TEST_F(UpdateKernels, AnUpdateWhoseFactorsTheHostHasNotWrittenChangesNothing) {
  Training training;
  training.write_rows(1);  // update 0 is missing
  training.step(made_up(Training::kSize, 1), FloatType::kFloat32, true);
  training.expect_equal();
  EXPECT_EQ(training.weights, made_up(Training::kSize, 1));
  EXPECT_EQ(training.control.updates, 0);
  EXPECT_TRUE(training.control.outcome == StepOutcome::kNoRow);
}

TEST_F(UpdateKernels, TheLossScaleFollowsTheHostsOverManySteps) {
  LossScaleOptions options{256, 3, 4, 10};
  LossScale host(options);
  UpdateRule rule;
  rule.scales_loss = true;
  rule.growth_steps = 3;
  rule.smallest_scale = 4;
  UpdateControl start;
  start.loss_scale = 256;
  DeviceArray<UpdateControl> control = one(start);
  DeviceArray<UpdateRow> rows(1);
  uint32_t state = 5;
  int64_t updates = 0;
  for (int step = 0; step < 200; ++step) {
    state = state * 1664525u + 1013904223u;
    const bool finite = step < 40   ? (state >> 16) % 4 != 0
                        : step < 60 ? false
                                    : (state >> 16) % 9 != 0;
    DeviceArray<double> sums(std::vector<double>{finite ? 1.0 : INFINITY});
    DeviceArray<UpdateTotals> totals = one(UpdateTotals{0, 1});
    const UpdateRow row{updates, 0, 0};
    rows.upload(&row);
    cuda::finish_norm(sums.get(), 1, rule, totals.get(), rows.get(), control.get(), nullptr,
                      nullptr);
    host.update(finite);
    updates += finite;
    const UpdateControl now = control.values()[0];
    EXPECT_EQ(now.loss_scale, host.value()) << step;
    EXPECT_EQ(now.good_steps, host.state().good_steps) << step;
    EXPECT_EQ(now.updates, updates);
  }
}

TEST_F(UpdateKernels, TheAverageAloneHasTheBitsOfTheCpu) {
  for (const size_t size : {16u, 1021u, 20'000u})
    for (const bool copy : {false, true}) {
      std::vector<float> ema = made_up(size, 1);
      const std::vector<float> weights = made_up(size, 2);
      DeviceArray<float> d_ema(ema), d_weights(weights);
      cuda::move_average(d_ema.get(), d_weights.get(), static_cast<int64_t>(size), copy, 0.005f,
                         nullptr);
      cpu::move_average(ema.data(), weights.data(), static_cast<int64_t>(size), copy, 0.005f,
                        nullptr);
      EXPECT_EQ(d_ema.values(), ema);
    }
}

}  // namespace
}  // namespace lockstep
