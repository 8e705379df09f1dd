#include "data/shards/checked_dataset.h"

#include <fmt/format.h>

#include "core/errors.h"
#include "data/shards/dataset_index.h"

namespace lockstep {

CheckedDataset::CheckedDataset(const ShardList& list, const ArraysOptions& options)
    : inner_(make_arrays_dataset(list, options)), shards_(list.shards) {}

Batch CheckedDataset::read(std::span<const int64_t> ids) const {
  Batch batch = inner_->read(ids);
  check(batch);
  return batch;
}

void CheckedDataset::refuse(int64_t id, const std::string& what, const std::string& help) const {
  int64_t local = id;
  size_t shard = 0;
  while (local >= shards_[shard].entry.samples) local -= shards_[shard++].entry.samples;
  throw DataError(fmt::format("sample {} of the shard{}", local, what), help,
                  {shards_[shard].path.string()});
}

}  // namespace lockstep
