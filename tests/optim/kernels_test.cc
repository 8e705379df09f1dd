#include "optim/kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/philox.h"
#include "optim/adam.h"
#include "optim/sgd.h"

namespace lockstep {
namespace {

struct Buffers {
  std::vector<float> w, g, m, v, e;
  explicit Buffers(int64_t n) : w(n), g(n), m(n), v(n), e(n) {
    const Stream s(11, Purpose::kTest);
    for (int64_t i = 0; i < n; ++i) {
      w[i] = s.normal(0, 0, i);
      g[i] = s.normal(1, 0, i) * std::pow(10.0f, static_cast<float>(s.below(5, 0, i, 12)) - 8);
      m[i] = s.normal(2, 0, i);
      v[i] = s.uniform(3, 0, i);
      e[i] = s.normal(4, 0, i);
    }
  }
  bool operator==(const Buffers& o) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
    };
    return same(w, o.w) && same(m, o.m) && same(v, o.v) && same(e, o.e);
  }
};

const std::vector<int64_t> kCounts = {0, 1, 7, 8, 15, 16, 17, 1000, 4099};
const GradientFactors kGradient{0.37f, 0.81f};

std::vector<const OptimizerKernels*> available() {
  std::vector<const OptimizerKernels*> kernels;
  for (const char* isa : {"generic", "avx2", "avx512"})
    if (const OptimizerKernels* k = optimizer_kernels(isa)) kernels.push_back(k);
  return kernels;
}

TEST(Kernels, AdamHasTheBitsOfTheReferenceOnEveryInstructionSet) {
  for (const OptimizerKernels* kernels : available())
    for (const int64_t n : kCounts)
      for (const bool decoupled : {false, true}) {
        AdamOptions options;
        Buffers ours(n), wanted(n);
        for (int64_t t = 1; t <= 3; ++t) {
          const AdamFactors f = adam_factors(options, decoupled, 1e-2, 0.05, t);
          kernels->adam({ours.w.data(), ours.g.data(), ours.m.data(), ours.v.data()}, n, f,
                        kGradient, {ours.e.data(), false, 0.1f});
          adam_reference({wanted.w.data(), wanted.g.data(), wanted.m.data(), wanted.v.data()}, n, f,
                         kGradient);
          for (int64_t i = 0; i < n; ++i) wanted.e[i] += 0.1f * (wanted.w[i] - wanted.e[i]);
        }
        EXPECT_TRUE(ours == wanted) << kernels->isa << ", " << n;
      }
}

TEST(Kernels, SgdHasTheBitsOfTheReferenceOnEveryInstructionSet) {
  for (const OptimizerKernels* kernels : available())
    for (const int64_t n : kCounts)
      for (const bool nesterov : {false, true})
        for (const bool momentum : {false, true}) {
          Buffers ours(n), wanted(n);
          SgdFactors f{.lr = 0.1f,
                       .decay = 0.01f,
                       .momentum = 0.9f,
                       .dampening_rest = 0.8f,
                       .nesterov = nesterov};
          for (const bool first : {true, false}) {
            f.first = first;
            kernels->sgd({ours.w.data(), ours.g.data(), momentum ? ours.m.data() : nullptr}, n, f,
                         kGradient, {ours.e.data(), first, 0.1f});
            sgd_reference({wanted.w.data(), wanted.g.data(), momentum ? wanted.m.data() : nullptr},
                          n, f, kGradient);
            for (int64_t i = 0; i < n; ++i)
              wanted.e[i] = first ? wanted.w[i] : wanted.e[i] + 0.1f * (wanted.w[i] - wanted.e[i]);
          }
          EXPECT_TRUE(ours == wanted) << kernels->isa << ", " << n;
        }
}

TEST(Kernels, SumsOfSquaresHaveEightFixedLanes) {
  for (const int64_t n : kCounts) {
    const Buffers b(n);
    double lanes[8] = {};
    for (int64_t i = 0; i < n; ++i) {
      const float scaled = b.g[i] * 0.37f;
      lanes[i % 8] += double(scaled) * double(scaled);
    }
    const double wanted = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
                          ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    for (const OptimizerKernels* kernels : available())
      EXPECT_EQ(kernels->sum_of_squares(b.g.data(), n, 0.37f), wanted) << kernels->isa << ", " << n;
  }
}

TEST(Kernels, TheWidestInstructionSetIsChosen) {
  EXPECT_EQ(optimizer_kernels().isa, std::string(available().back()->isa));
  EXPECT_EQ(optimizer_kernels("mmx"), nullptr);
}

}  // namespace
}  // namespace lockstep
