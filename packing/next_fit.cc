#include "packing/packers.h"

namespace lockstep {

PackPlan pack_next_fit(std::span<const int32_t> lengths, const PackLimits& limits, int) {
  PackPlan plan;
  int64_t room = 0, documents = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    if (lengths[i] > room || documents == limits.max_documents) {
      if (i > 0) plan.offsets.push_back(place);
      room = limits.capacity;
      documents = 0;
    }
    room -= lengths[i];
    ++documents;
    plan.order.push_back(place);
  }
  if (!lengths.empty()) plan.offsets.push_back(static_cast<int64_t>(lengths.size()));
  return plan;
}

}  // namespace lockstep
