#include "packing/packers.h"

namespace lockstep {

PackPlan pack_none(std::span<const int32_t> lengths, const PackLimits&, int) {
  PackPlan plan;
  for (size_t i = 0; i < lengths.size(); ++i) {
    plan.order.push_back(static_cast<int64_t>(i));
    plan.offsets.push_back(static_cast<int64_t>(i) + 1);
  }
  return plan;
}

}  // namespace lockstep
