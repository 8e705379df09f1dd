// Time of an AdamW update on a GPU: alone, and with norm, unscaling, clipping, loss scale and EMA
// (three launches).
//
//   optimizer_gpu_bench [--device cuda|cpu] [--case 35.7m|124m|1.56b|tiny] [--rounds N] [--json]
//
// Beside each time what the memory would need at the speed of a copy on the same device. The peer,
// same cases: bench/peers/optimizer_gpu.py.
#include "bench/gpu_clock.h"
#include "optim/adam.h"
#include "optim/kernels/update_kernels.h"

using namespace lockstep;

namespace {

struct Case {
  const char* name;
  int64_t parameters, tensors;
};
constexpr Case kCases[] = {{"tiny", 65'536 * 4, 8},
                           {"35.7m", 35'700'000, 300},
                           {"124m", 124'000'000, 148},
                           {"1.56b", 1'560'000'000, 580}};

constexpr int64_t kRows = 8192;  // more updates than are measured

// Arenas, pieces and rings of one case.
class Update {
 public:
  Update(bool cuda, int64_t size, FloatType gradient_type, bool low)
      : cuda_(cuda),
        size_((size + 15) / 16 * 16),
        blocks_((size_ + 65'535) / 65'536),
        weights_(cuda, 4 * size_),
        gradients_(cuda, bytes_of(gradient_type) * size_),
        mean_(cuda, 4 * size_),
        square_(cuda, 4 * size_),
        ema_(cuda, 4 * size_),
        low_(cuda, low ? 2 * size_ : 16),
        sums_(cuda, 8 * blocks_),
        pieces_(cuda, static_cast<int64_t>(sizeof(UpdatePiece)) *
                          ((size_ + kPieceElements - 1) / kPieceElements)),
        control_(cuda, sizeof(UpdateControl)),
        totals_(cuda, sizeof(UpdateTotals)),
        rows_(cuda, kRows * sizeof(UpdateRow)),
        factors_(cuda, kRows * sizeof(AdamFactors)),
        type_(gradient_type),
        with_low_(low) {
    std::vector<UpdatePiece> pieces;
    for (int64_t at = 0; at < size_; at += kPieceElements)
      pieces.push_back(
          {at, at, static_cast<int32_t>(std::min<int64_t>(kPieceElements, size_ - at)), 0});
    pieces_.fill(pieces);
    count_ = static_cast<int64_t>(pieces.size());
    weights_.fill(std::vector<float>{0.5f, -0.25f, 0.125f, 1.0f});
    if (gradient_type == FloatType::kFloat32)
      gradients_.fill(std::vector<float>{0.01f, -0.02f, 0.005f, 0.03f});
    else
      gradients_.fill(std::vector<uint16_t>{0x3c24, 0xbca4, 0x3ba4, 0x3cf6});
    totals_.fill(std::vector<UpdateTotals>{{1, 64}});
    factors_.fill(std::vector<AdamFactors>{adam_factors(AdamWOptions(), true, 1e-3, 0.01, 10)});
    rule_.backward_constant = 64;
    rule_.clip_norm = 1;
    rule_.scales_loss = true;
    rule_.rows = kRows;
    control_.fill(std::vector<UpdateControl>(1));
    std::vector<UpdateRow> rows;
    for (int64_t u = 0; u < kRows; ++u) rows.push_back({u, 1, 0.001f});
    rows_.fill(rows);
  }

  void norm() {
    auto sum = cuda_ ? cuda::sum_blocks : cpu::sum_blocks;
    auto finish = cuda_ ? cuda::finish_norm : cpu::finish_norm;
    sum(gradients(), 1, 0, rule_, totals_.as<UpdateTotals>(), control_.as<UpdateControl>(),
        sums_.as<double>(), nullptr);
    finish(sums_.as<double>(), blocks_, rule_, totals_.as<UpdateTotals>(), rows_.as<UpdateRow>(),
           control_.as<UpdateControl>(), nullptr, nullptr);
  }
  void update(bool ema) {
    const UpdateArrays arrays{weights_.as<float>(),
                              gradients(),
                              mean_.as<float>(),
                              square_.as<float>(),
                              ema ? ema_.as<float>() : nullptr,
                              with_low_ ? low_.get() : nullptr,
                              FloatType::kBfloat16};
    const UpdatePlan plan{pieces_.as<UpdatePiece>(), count_, rows_.as<UpdateRow>(), 1};
    (cuda_ ? cuda::adam_update : cpu::adam_update)(arrays, plan, factors_.as<AdamFactors>(),
                                                   control_.as<UpdateControl>(), nullptr);
  }
  double bytes(bool everything) const {
    const double gradient = static_cast<double>(bytes_of(type_)), low = with_low_ ? 2 : 0;
    return static_cast<double>(size_) * (24 + gradient + low + (everything ? 8 + gradient : 0));
  }

 private:
  GradientView gradients() const { return {gradients_.get(), size_, type_}; }

  bool cuda_;
  int64_t size_, blocks_, count_ = 0;
  BenchMemory weights_, gradients_, mean_, square_, ema_, low_, sums_, pieces_, control_, totals_,
      rows_, factors_;
  FloatType type_;
  bool with_low_;
  UpdateRule rule_;
};

void measure(const GpuBenchOptions& options, const Case& c, bool low, double bandwidth) {
  const char* suffix = low ? " bf16+master" : " fp32";
  Update update(options.cuda, c.parameters, low ? FloatType::kBfloat16 : FloatType::kFloat32, low);
  const auto print = [&](const std::string& what, double bytes, const std::function<void()>& run) {
    print_result(options, c.name, what + suffix, median_seconds(options.cuda, options.rounds, run),
                 bytes, bandwidth);
  };
  print("update", update.bytes(false), [&] { update.update(false); });
  print("norm", static_cast<double>(c.parameters) * (low ? 2 : 4), [&] { update.norm(); });
  print("norm, clip, unscale, update, EMA", update.bytes(true), [&] {
    update.norm();
    update.update(true);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const GpuBenchOptions options(argc, argv);
  const double bandwidth = copy_bandwidth(options.cuda, options.rounds);
  for (const Case& c : kCases) {
    const bool small = std::strcmp(c.name, "tiny") == 0;
    if (small ? options.only != "tiny" : !options.wants(c.name)) continue;
    for (const bool low : {false, true}) measure(options, c, low, bandwidth);
  }
  return 0;
}
