#include "train/evaluate.h"

#include <cstring>
#include <mutex>
#include <utility>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "ddp/slots.h"
#include "train/chunk_tree.h"
#include "train/model_threads.h"

namespace lockstep {
namespace {

struct ChunkRange {
  int64_t begin, end;
};

// The tensors of chunks as bytes, for the way to rank 0.
class Writer {
 public:
  template <class T>
  void put(const T& value) {
    const char* bytes = reinterpret_cast<const char*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(T));
  }
  void put(const at::Tensor& tensor) {
    const at::Tensor t = tensor.contiguous();
    put(static_cast<int64_t>(t.scalar_type()));
    put(static_cast<int64_t>(t.dim()));
    for (int64_t size : t.sizes()) put(size);
    const char* data = static_cast<const char*>(t.const_data_ptr());
    bytes_.insert(bytes_.end(), data, data + t.nbytes());
  }
  std::vector<char> take() { return std::move(bytes_); }

 private:
  std::vector<char> bytes_;
};

class Reader {
 public:
  explicit Reader(const std::vector<char>& bytes) : bytes_(bytes) {}
  bool at_end() const { return position_ == bytes_.size(); }
  template <class T>
  T get() {
    T value;
    copy(&value, sizeof value);
    return value;
  }
  at::Tensor tensor() {
    const auto dtype = static_cast<at::ScalarType>(get<int64_t>());
    std::vector<int64_t> shape(get<int64_t>());
    for (int64_t& size : shape) size = get<int64_t>();
    at::Tensor out = at::empty(shape, at::TensorOptions().dtype(dtype));
    copy(out.mutable_data_ptr(), out.nbytes());
    return out;
  }

 private:
  void copy(void* to, size_t size) {
    if (position_ + size > bytes_.size()) throw InternalError("an evaluation result of another rank is cut short");
    std::memcpy(to, bytes_.data() + position_, size);
    position_ += size;
  }
  const std::vector<char>& bytes_;
  size_t position_ = 0;
};

std::vector<char> pack(const std::vector<std::pair<int64_t, EvaluationChunk>>& chunks) {
  Writer writer;
  for (const auto& [index, chunk] : chunks) {
    writer.put(index);
    writer.put(static_cast<int64_t>(chunk.tensors.size()));
    for (const at::Tensor& tensor : chunk.tensors) writer.put(tensor);
  }
  return writer.take();
}

void unpack(const std::vector<char>& bytes, std::vector<EvaluationChunk>& chunks) {
  for (Reader reader(bytes); !reader.at_end();) {
    const auto index = reader.get<int64_t>();
    if (index < 0 || index >= static_cast<int64_t>(chunks.size()))
      throw InternalError("an evaluation result names a chunk that does not exist");
    EvaluationChunk& chunk = chunks[index];
    chunk.tensors.resize(reader.get<int64_t>());
    for (at::Tensor& tensor : chunk.tensors) tensor = reader.tensor();
  }
}

// This rank's chunks, computed by one thread per replica.
std::vector<std::pair<int64_t, EvaluationChunk>> compute_own(const Evaluation& evaluation,
                                                             const std::vector<Model*>& replicas,
                                                             const std::string& compute, ChunkRange range, ChunkTree& tree,
                                                             const std::function<void()>& alive) {
  std::vector<std::pair<int64_t, EvaluationChunk>> own;
  for (int64_t i = range.begin; i < range.end; ++i) own.push_back({i, {}});
  std::mutex mutex;
  for_each_on_models(replicas, compute, static_cast<int64_t>(own.size()), [&](Model& model, int64_t i) {
    auto& [index, chunk] = own[static_cast<size_t>(i)];
    chunk = evaluation.chunk(model, index);
    const std::lock_guard lock(mutex);
    tree.add(index, index + 1, std::exchange(chunk.sums, {}));
    alive();
  });
  return own;
}

// Sums of this rank's tree nodes, on their way to rank 0.
void send_nodes(const ChunkTree& tree, Communicator& communicator) {
  const auto count = static_cast<int64_t>(tree.nodes().size());
  communicator.send(0, &count, sizeof count, "evaluation sums");
  for (const auto& [range, sums] : tree.nodes()) {
    const int64_t head[3] = {range.first, range.second, static_cast<int64_t>(sums.size())};
    communicator.send(0, head, sizeof head, "evaluation sums");
    if (!sums.empty()) communicator.send(0, sums.data(), sums.size() * sizeof(double), "evaluation sums");
  }
}

void receive_nodes(int peer, ChunkTree& tree, Communicator& communicator) {
  int64_t count = 0;
  communicator.receive(peer, &count, sizeof count, "evaluation sums");
  for (int64_t i = 0; i < count; ++i) {
    int64_t head[3] = {};
    communicator.receive(peer, head, sizeof head, "evaluation sums");
    std::vector<double> sums(static_cast<size_t>(head[2]));
    if (!sums.empty()) communicator.receive(peer, sums.data(), sums.size() * sizeof(double), "evaluation sums");
    tree.add(head[0], head[1], std::move(sums));
  }
}

// All ranks learn what rank 0 still has from earlier evaluations.
void agree_on_kept(const Evaluation& evaluation, Communicator& communicator) {
  int64_t kept = communicator.rank() == 0 && evaluation.has_kept() ? 1 : 0;
  if (communicator.size() > 1) communicator.broadcast(&kept, sizeof kept, 0, "what is kept of an evaluation");
  evaluation.agree(kept != 0);
}

}  // namespace

EvaluationResult evaluate_on_ranks(const Evaluation& evaluation, const std::vector<Model*>& replicas,
                                   const std::string& compute, Communicator& communicator,
                                   const std::function<void()>& alive) {
  const int rank = communicator.rank(), size = communicator.size();
  agree_on_kept(evaluation, communicator);
  const int64_t chunks = evaluation.num_chunks();
  ChunkTree tree(chunks);
  const ChunkRange range{chunks * rank / size, chunks * (rank + 1) / size};
  const std::vector<char> mine = pack(compute_own(evaluation, replicas, compute, range, tree, alive));
  const int64_t bytes = static_cast<int64_t>(mine.size());
  if (rank != 0) {
    send_nodes(tree, communicator);
    communicator.send(0, &bytes, sizeof bytes, "evaluation results");
    if (bytes > 0) communicator.send(0, mine.data(), mine.size(), "evaluation results");
    return {};
  }
  EvaluationResult result;
  result.chunks.resize(chunks);
  unpack(mine, result.chunks);
  for (int peer = 1; peer < size; ++peer) {
    receive_nodes(peer, tree, communicator);
    int64_t count = 0;
    communicator.receive(peer, &count, sizeof count, "evaluation results");
    std::vector<char> theirs(count);
    if (count > 0) communicator.receive(peer, theirs.data(), theirs.size(), "evaluation results");
    unpack(theirs, result.chunks);
  }
  if (chunks > 0) {
    result.sums = tree.take_root();
    result.scores = evaluation.scores(result.sums, result.chunks);
  }
  return result;
}

}  // namespace lockstep
