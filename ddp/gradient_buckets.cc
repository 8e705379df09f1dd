#include "ddp/gradient_buckets.h"

namespace lockstep {

std::vector<Bucket> make_buckets(const ArenaLayout& layout, int64_t bucket_bytes,
                                 int64_t first_bytes) {
  std::vector<Bucket> buckets;
  int64_t end = layout.size;
  for (int64_t i = static_cast<int64_t>(layout.entries.size()) - 1; i >= 0; --i) {
    const int64_t begin = layout.entries[i].offset;
    const int64_t limit = buckets.size() <= 1 ? std::min(first_bytes, bucket_bytes) : bucket_bytes;
    const bool fits =
        !buckets.empty() && (buckets.back().end - begin) * int64_t{sizeof(float)} <= limit;
    if (fits) {
      buckets.back().begin = begin;
      buckets.back().first_parameter = i;
    } else {
      buckets.push_back({begin, end, i, i});
    }
    end = begin;
  }
  return buckets;
}

}  // namespace lockstep
