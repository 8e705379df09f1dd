#include "data/shards/arrays_dataset.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/shards/chunk_cache.h"
#include "data/shards/dtypes.h"
#include "data/shards/hdf5_shard.h"

namespace lockstep {
namespace {

const char* const kForeignShardHelp =
    "the shard and dataset.json do not belong together; make, convert or copy the dataset again";

std::vector<int64_t> with_rows(int64_t rows, const std::vector<int64_t>& shape) {
  std::vector<int64_t> sizes{rows};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  return sizes;
}

// One array of one shard, ready for reading.
struct Part {
  const StoredArray* stored = nullptr;
  std::vector<int64_t> offsets;  // ragged: [N+1]
  at::Tensor memory;             // the whole array, if held in memory
};

struct OpenShard {
  std::unique_ptr<ShardFile> file;
  int64_t first_id = 0;
  std::vector<Part> parts;  // as DatasetIndex::arrays
};

const StoredArray& expect_stored(const ShardFile& file, const std::string& name,
                                 at::ScalarType dtype, const std::vector<int64_t>& shape) {
  const StoredArray* stored = file.find(name);
  if (stored == nullptr) throw DataError(fmt::format("array '{}' is missing", name));
  if (stored->dtype != dtype || stored->shape != shape)
    throw DataError(
        fmt::format("array '{}' is {} with rows [{}], dataset.json says {} with rows [{}]", name,
                    c10::toString(stored->dtype), fmt::join(stored->shape, ", "),
                    c10::toString(dtype), fmt::join(shape, ", ")));
  return *stored;
}

std::vector<int64_t> read_offsets(const ShardFile& file, const ArrayInfo& info, int64_t samples,
                                  int64_t total) {
  const StoredArray& stored = expect_stored(file, info.name + "_offsets", at::kUInt64, {});
  if (stored.rows != samples + 1)
    throw DataError(
        fmt::format("array '{}' has {} values, not {}", stored.name, stored.rows, samples + 1));
  std::vector<uint64_t> raw(static_cast<size_t>(stored.rows));
  file.read_all(stored, reinterpret_cast<uint8_t*>(raw.data()));
  if (raw.front() != 0 || raw.back() != static_cast<uint64_t>(total) ||
      !std::is_sorted(raw.begin(), raw.end()))
    throw DataError(fmt::format("array '{}' does not rise from 0 to {}", stored.name, total));
  return {raw.begin(), raw.end()};
}

Part open_part(const ShardFile& file, const ArrayInfo& info) {
  Part part;
  part.stored = &expect_stored(file, info.name, info.dtype, info.shape);
  if (info.ragged)
    part.offsets = read_offsets(file, info, file.samples(), part.stored->rows);
  else if (part.stored->rows != file.samples())
    throw DataError(fmt::format("array '{}' has {} rows, not {}", info.name, part.stored->rows,
                                file.samples()));
  return part;
}

OpenShard open_shard(const ShardPath& path, const ShardList& list) {
  OpenShard shard;
  shard.file = std::make_unique<ShardFile>(path.path);
  const ShardFile& file = *shard.file;
  try {
    if (file.kind() != list.kind)
      throw DataError(
          fmt::format("the shard's kind is '{}', dataset.json says '{}'", file.kind(), list.kind));
    if (file.samples() != path.entry.samples)
      throw DataError(fmt::format("the shard holds {} samples, dataset.json says {}",
                                  file.samples(), path.entry.samples));
    size_t expected = 0;
    for (const ArrayInfo& info : list.arrays) {
      shard.parts.push_back(open_part(file, info));
      expected += info.ragged ? 2 : 1;
    }
    if (file.arrays().size() != expected)
      throw DataError(fmt::format("the shard holds {} arrays, dataset.json declares {}",
                                  file.arrays().size(), expected));
  } catch (DataError& error) {
    throw DataError(error.fact(), error.help().empty() ? kForeignShardHelp : error.help(),
                    {path.path.string()});
  }
  return shard;
}

class ArraysDataset final : public Dataset {
 public:
  ArraysDataset(const ShardList& list, const ArraysOptions& options)
      : arrays_(list.arrays),
        hash_(list.content_hash()),
        cache_(static_cast<size_t>(options.cache_megabytes) << 20) {
    if (options.verify_hashes) verify_hashes(list);
    int64_t bytes = 0;
    for (const ShardPath& path : list.shards) {
      shards_.push_back(open_shard(path, list));
      shards_.back().first_id = size_;
      size_ += path.entry.samples;
      for (const Part& part : shards_.back().parts)
        bytes += part.stored->rows * part.stored->row_bytes;
    }
    if (bytes <= options.memory_megabytes << 20) hold_in_memory();
  }

  int64_t size() const override { return size_; }
  const std::vector<ArrayInfo>& arrays() const override { return arrays_; }
  std::string content_hash() const override { return hash_; }

  Batch read(std::span<const int64_t> ids) const override {
    Batch batch;
    batch.ids.assign(ids.begin(), ids.end());
    for (const int64_t id : ids)
      if (id < -1 || id >= size_)
        throw InternalError(fmt::format("sample {} of a dataset of {}", id, size_));
    // Neighbours in the file one after the other, so that a chunk is fetched once a batch.
    std::vector<size_t> order(ids.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return ids[a] < ids[b]; });
    for (size_t i = 0; i < arrays_.size(); ++i) {
      if (arrays_[i].ragged)
        read_ragged(i, ids, order, batch);
      else
        read_fixed(i, ids, order, batch);
    }
    return batch;
  }

 private:
  void hold_in_memory() {
    for (OpenShard& shard : shards_)
      for (size_t i = 0; i < arrays_.size(); ++i) {
        Part& part = shard.parts[i];
        at::Tensor all =
            at::empty(with_rows(part.stored->rows, arrays_[i].shape), arrays_[i].dtype);
        shard.file->read_all(*part.stored, static_cast<uint8_t*>(all.mutable_data_ptr()));
        part.memory = std::move(all);
      }
  }

  const OpenShard& shard_of(int64_t id) const {
    const auto after = std::upper_bound(
        shards_.begin(), shards_.end(), id,
        [](int64_t value, const OpenShard& shard) { return value < shard.first_id; });
    return *std::prev(after);
  }

  // Rows [first, first + count) of array `i` of `shard`.
  void copy_rows(const OpenShard& shard, size_t i, int64_t first, int64_t count,
                 uint8_t* out) const {
    const Part& part = shard.parts[i];
    const StoredArray& stored = *part.stored;
    if (part.memory.defined()) {
      const auto* rows = static_cast<const uint8_t*>(part.memory.const_data_ptr());
      std::memcpy(out, rows + first * stored.row_bytes,
                  static_cast<size_t>(count * stored.row_bytes));
      return;
    }
    while (count > 0) {
      const int64_t chunk = first / stored.rows_per_chunk, inside = first % stored.rows_per_chunk;
      const int64_t rows = std::min(count, stored.rows_per_chunk - inside);
      const auto number = static_cast<uint64_t>(&shard - shards_.data()) * arrays_.size() + i;
      const ChunkCache::Bytes bytes = cache_.get(number << 32 | static_cast<uint64_t>(chunk), [&] {
        return shard.file->read_chunk(stored, chunk);
      });
      std::memcpy(out, bytes->data() + inside * stored.row_bytes,
                  static_cast<size_t>(rows * stored.row_bytes));
      out += rows * stored.row_bytes;
      first += rows;
      count -= rows;
    }
  }

  void read_fixed(size_t i, std::span<const int64_t> ids, const std::vector<size_t>& order,
                  Batch& batch) const {
    const ArrayInfo& info = arrays_[i];
    at::Tensor values =
        at::empty(with_rows(static_cast<int64_t>(ids.size()), info.shape), info.dtype);
    auto* out = static_cast<uint8_t*>(values.mutable_data_ptr());
    const int64_t row_bytes = shards_[0].parts[i].stored->row_bytes;
    for (const size_t row : order) {
      uint8_t* place = out + static_cast<int64_t>(row) * row_bytes;
      if (ids[row] < 0) {
        std::memset(place, 0, static_cast<size_t>(row_bytes));
        continue;
      }
      const OpenShard& shard = shard_of(ids[row]);
      copy_rows(shard, i, ids[row] - shard.first_id, 1, place);
    }
    batch.arrays[info.name] = std::move(values);
  }

  void read_ragged(size_t i, std::span<const int64_t> ids, const std::vector<size_t>& order,
                   Batch& batch) const {
    const ArrayInfo& info = arrays_[i];
    at::Tensor offsets = at::zeros({static_cast<int64_t>(ids.size()) + 1}, at::kLong);
    auto* starts = offsets.mutable_data_ptr<int64_t>();
    for (size_t row = 0; row < ids.size(); ++row) {
      int64_t length = 0;
      if (ids[row] >= 0) {
        const OpenShard& shard = shard_of(ids[row]);
        const auto& all = shard.parts[i].offsets;
        const auto local = static_cast<size_t>(ids[row] - shard.first_id);
        length = all[local + 1] - all[local];
      }
      starts[row + 1] = starts[row] + length;
    }
    at::Tensor values = at::empty(with_rows(starts[ids.size()], info.shape), info.dtype);
    auto* out = static_cast<uint8_t*>(values.mutable_data_ptr());
    for (const size_t row : order) {
      if (ids[row] < 0) continue;
      const OpenShard& shard = shard_of(ids[row]);
      const Part& part = shard.parts[i];
      const int64_t first = part.offsets[static_cast<size_t>(ids[row] - shard.first_id)];
      copy_rows(shard, i, first, starts[row + 1] - starts[row],
                out + starts[row] * part.stored->row_bytes);
    }
    batch.arrays[info.name] = std::move(values);
    batch.arrays[info.name + "_offsets"] = std::move(offsets);
  }

  std::vector<ArrayInfo> arrays_;
  std::string hash_;
  std::vector<OpenShard> shards_;
  int64_t size_ = 0;
  mutable ChunkCache cache_;
};

}  // namespace

std::unique_ptr<Dataset> make_arrays_dataset(const ShardList& list, const ArraysOptions& options) {
  return std::make_unique<ArraysDataset>(list, options);
}

}  // namespace lockstep
