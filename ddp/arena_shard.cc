#include "ddp/arena_shard.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "core/errors.h"

namespace lockstep {

namespace {

constexpr int64_t kBlock = ArenaLayout::kBlockElements;
constexpr int64_t kBlocksAtOnce =
    16;  // blocks of a rank in one message (4 MiB): the buffer is n times that

// Copies the own blocks of `rank` between the arena and its share.
template <class Copy>
void for_share(const ShardLayout& layout, int rank, const Copy& copy) {
  layout.for_owned(rank, 0, layout.arena().size, [&](int64_t begin, int64_t end) {
    copy(begin, layout.place(begin), end - begin);
  });
}

}  // namespace

ArenaShard::ArenaShard(const ShardLayout& layout)
    : layout_(layout),
      flat_(
          at::zeros({layout.num_elements(layout.rank())}, at::TensorOptions().dtype(at::kFloat))) {}

void ArenaShard::to(at::Device device) { flat_ = flat_.to(device); }

at::Tensor ArenaShard::range(int64_t begin, int64_t end) const {
  return flat_.narrow(0, layout_.place(begin), end - begin);
}

NamedTensors ArenaShard::named(const std::string& prefix) const {
  if (!layout_.whole()) throw InternalError("the share of one rank has no whole tensors");
  NamedTensors result;
  for (const ArenaEntry& entry : layout_.arena().entries)
    result.push_back(
        {prefix + entry.name, flat_.narrow(0, entry.offset, entry.count).view(entry.shape)});
  return result;
}

void ArenaShard::load(const NamedTensors& values, const std::string& prefix,
                      const std::string& from) {
  at::NoGradGuard no_grad;
  const std::vector<at::Tensor> found = find_parameters(layout_.arena(), values, prefix, from);
  for (size_t i = 0; i < found.size(); ++i) {
    const ArenaEntry& entry = layout_.arena().entries[i];
    const at::Tensor value = found[i].reshape({-1});
    layout_.for_owned(layout_.rank(), entry.offset, entry.offset + entry.count,
                      [&](int64_t begin, int64_t end) {
                        range(begin, end).copy_(value.narrow(0, begin - entry.offset, end - begin));
                      });
  }
}

NamedTensors ArenaShard::gather(Communicator& comm, const std::string& prefix) const {
  const std::string what = "optimizer state for a checkpoint";
  if (comm.rank() != 0) {
    const at::Tensor share = flat_.cpu();
    if (size() > 0 && !layout_.whole()) comm.send(0, share.data_ptr(), share.nbytes(), what);
    return {};
  }
  Arena all(layout_.arena());
  const auto put = [&](int rank, const float* share) {
    for_share(layout_, rank, [&](int64_t begin, int64_t place, int64_t count) {
      std::memcpy(all.data() + begin, share + place, count * sizeof(float));
    });
  };
  const at::Tensor own = flat_.cpu();
  put(0, own.data_ptr<float>());
  at::Tensor theirs =
      at::empty({layout_.whole() ? 0 : size()}, own.options());  // rank 0 owns the most
  for (int rank = 1; rank < layout_.ranks(); ++rank) {
    const int64_t count = layout_.num_elements(rank);
    if (count == 0) continue;
    comm.receive(rank, theirs.data_ptr(), count * sizeof(float), what);
    put(rank, theirs.data_ptr<float>());
  }
  return all.named(prefix);
}

void all_gather_blocks(Communicator& comm, const ShardLayout& layout, Arena& arena) {
  if (layout.whole()) return;
  const int ranks = layout.ranks();
  const int64_t rounds = layout.num_blocks(0);  // the most that a rank owns
  const int64_t at_once = std::min(rounds, kBlocksAtOnce);
  const auto mine = std::make_unique_for_overwrite<float[]>(at_once * kBlock);
  const auto all = std::make_unique_for_overwrite<float[]>(at_once * kBlock * ranks);
  for (int64_t first = 0; first < rounds; first += at_once) {
    const int64_t begin = first * ranks * kBlock;  // the stripe of this message
    const int64_t end = std::min(arena.layout().size, (first + at_once) * ranks * kBlock);
    const auto offset = [&](int64_t element) { return layout.place(element) - first * kBlock; };
    layout.for_owned(layout.rank(), begin, end, [&](int64_t from, int64_t to) {
      std::memcpy(mine.get() + offset(from), arena.data() + from, (to - from) * sizeof(float));
    });
    const int64_t share = layout.count_owned(0, begin, end);
    comm.all_gather(mine.get(), all.get(), share * sizeof(float), "updated weights");
    for (int rank = 0; rank < ranks; ++rank) {
      if (rank == layout.rank()) continue;
      layout.for_owned(rank, begin, end, [&](int64_t from, int64_t to) {
        std::memcpy(arena.data() + from, all.get() + rank * share + offset(from),
                    (to - from) * sizeof(float));
      });
    }
  }
}

void all_gather_block_values(Communicator& comm, const ShardLayout& layout,
                             std::vector<double>& values) {
  if (layout.whole()) return;
  const int64_t share = layout.num_blocks(0);
  std::vector<double> mine(share), all(share * layout.ranks());
  for (int64_t i = 0; i < layout.num_blocks(layout.rank()); ++i)
    mine[i] = values[i * layout.ranks() + layout.rank()];
  comm.all_gather(mine.data(), all.data(), share * sizeof(double), "squares of gradients");
  for (int64_t block = 0; block < std::ssize(values); ++block)
    values[block] = all[layout.owner(block) * share + block / layout.ranks()];
}

}  // namespace lockstep
