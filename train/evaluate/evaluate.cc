#include "train/evaluate/evaluate.h"

#include <cstring>
#include <mutex>
#include <utility>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "train/evaluate/chunk_tree.h"
#include "train/evaluate/in_touch.h"
#include "train/model_threads.h"

namespace lockstep {
namespace {

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
    if (position_ + size > bytes_.size())
      throw InternalError("an evaluation result of another rank is cut short");
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

using SumTree = ChunkTree<std::vector<double>>;

// Sums of this rank's tree nodes, on their way to rank 0.
void send_nodes(const SumTree& tree, Communicator& communicator) {
  const auto count = static_cast<int64_t>(tree.nodes().size());
  communicator.send(0, &count, sizeof count, "evaluation sums");
  for (const auto& [range, sums] : tree.nodes()) {
    const int64_t head[3] = {range.first, range.second, static_cast<int64_t>(sums.size())};
    communicator.send(0, head, sizeof head, "evaluation sums");
    if (!sums.empty())
      communicator.send(0, sums.data(), sums.size() * sizeof(double), "evaluation sums");
  }
}

void receive_nodes(int peer, SumTree& tree, Communicator& communicator) {
  int64_t count = 0;
  communicator.receive(peer, &count, sizeof count, "evaluation sums");
  for (int64_t i = 0; i < count; ++i) {
    int64_t head[3] = {};
    communicator.receive(peer, head, sizeof head, "evaluation sums");
    std::vector<double> sums(static_cast<size_t>(head[2]));
    if (!sums.empty())
      communicator.receive(peer, sums.data(), sums.size() * sizeof(double), "evaluation sums");
    tree.add(head[0], head[1], std::move(sums));
  }
}

// Counts this rank's pieces of work and passes on that they are done.
class Pieces {
 public:
  Pieces(const EvaluationNews& news, std::string stage, int64_t total)
      : news_(news), stage_(std::move(stage)), total_(total) {}
  void add() {
    const std::lock_guard lock(mutex_);
    ++done_;
    if (news_.alive) news_.alive();
    if (news_.progress) news_.progress(stage_, done_, total_);
  }
  // For calls of news from other threads.
  std::mutex& mutex() { return mutex_; }

 private:
  const EvaluationNews& news_;
  std::string stage_;
  int64_t total_, done_ = 0;
  std::mutex mutex_;
};

using OwnChunks = std::vector<std::pair<int64_t, EvaluationChunk>>;

// What a device has computed, to the host, once it is all queued.
void bring_home(OwnChunks& own, const ChunkTree<at::Tensor>& device_tree, SumTree& tree) {
  for (auto& [index, chunk] : own)
    for (at::Tensor& tensor : chunk.tensors) tensor = tensor.cpu();
  for (const auto& [range, sums] : device_tree.nodes()) {
    const at::Tensor here = sums.cpu();
    tree.add(range.first, range.second,
             {here.const_data_ptr<double>(), here.const_data_ptr<double>() + here.numel()});
  }
}

// An evaluation on its way through the ranks.
class Run {
 public:
  Run(const std::vector<Model*>& replicas, Compute compute, Communicator& communicator,
      const EvaluationNews& news)
      : replicas_(replicas), compute_(compute), communicator_(communicator), news_(news) {}

  // False: given up.
  bool prepare(Evaluation& evaluation) {
    Evaluation* reference = evaluation.reference();
    if (reference == nullptr) return true;
    int64_t found = 0;
    if (!on_rank_zero([&] { found = evaluation.find_reference() ? 1 : 0; })) return false;
    if (communicator_.size() > 1)
      communicator_.broadcast(&found, sizeof found, 0, "what is kept of an evaluation");
    if (found != 0) return true;
    EvaluationResult result;
    reference->compute_on(replicas_.front()->device());
    if (!collect(*reference, "reference", result)) return false;
    return on_rank_zero([&] { evaluation.take_reference(result.sums, result.chunks); });
  }

  // Chunks of all ranks, on rank 0. False: given up.
  bool collect(Evaluation& evaluation, const std::string& stage, EvaluationResult& result) {
    const int rank = communicator_.rank(), size = communicator_.size();
    const int64_t chunks = evaluation.num_chunks();
    SumTree tree(chunks);
    OwnChunks own;
    for (int64_t i = chunks * rank / size; i < chunks * (rank + 1) / size; ++i)
      own.push_back({i, {}});
    if (!compute_own(evaluation, stage, own, tree)) return false;
    if (rank != 0) {
      const std::vector<char> mine = pack(own);
      const int64_t bytes = static_cast<int64_t>(mine.size());
      send_nodes(tree, communicator_);
      communicator_.send(0, &bytes, sizeof bytes, "evaluation results");
      if (bytes > 0) communicator_.send(0, mine.data(), mine.size(), "evaluation results");
      return true;
    }
    result.chunks.resize(chunks);
    for (auto& [index, chunk] : own) result.chunks[static_cast<size_t>(index)] = std::move(chunk);
    for (int peer = 1; peer < size; ++peer) {
      receive_nodes(peer, tree, communicator_);
      int64_t count = 0;
      communicator_.receive(peer, &count, sizeof count, "evaluation results");
      std::vector<char> theirs(count);
      if (count > 0)
        communicator_.receive(peer, theirs.data(), theirs.size(), "evaluation results");
      unpack(theirs, result.chunks);
    }
    if (chunks > 0) result.sums = tree.take_root();
    return true;
  }

  // Runs `work` on rank 0; the others wait for it as long as it takes. False: given up.
  bool on_rank_zero(const std::function<void()>& work) {
    // A matrix root says nothing while it is computed, so the calling thread does.
    const auto turn = [&](bool) {
      if (news_.alive) news_.alive();
    };
    return keep_in_touch(communicator_, {turn, news_.stop}, [&](const std::atomic<bool>&) {
      if (communicator_.rank() == 0) work();
    });
  }

 private:
  bool compute_own(Evaluation& evaluation, const std::string& stage, OwnChunks& own,
                   SumTree& tree) {
    Pieces pieces(news_, stage, static_cast<int64_t>(own.size()) * (evaluation.pieces() + 1));
    std::mutex tree_mutex;
    ChunkTree<at::Tensor> device_tree(evaluation.num_chunks());
    const auto turn = [&](bool busy) {
      const std::lock_guard lock(pieces.mutex());
      if (!busy && news_.alive) news_.alive();
    };
    const bool complete =
        keep_in_touch(communicator_, {turn, news_.stop}, [&](const std::atomic<bool>& give_up) {
          const auto piece = [&] {
            if (give_up) throw GivenUp();
            pieces.add();
          };
          evaluation.on_piece(piece);
          for_each_on_models(
              replicas_, compute_, static_cast<int64_t>(own.size()), [&](Model& model, int64_t i) {
                auto& [index, chunk] = own[static_cast<size_t>(i)];
                chunk = evaluation.chunk(model, index);
                {
                  const std::lock_guard lock(tree_mutex);
                  if (chunk.device_sums.defined())
                    device_tree.add(index, index + 1, std::exchange(chunk.device_sums, {}));
                  else
                    tree.add(index, index + 1, std::exchange(chunk.sums, {}));
                }
                piece();
              });
          bring_home(own, device_tree, tree);
        });
    evaluation.on_piece({});
    return complete;
  }

  const std::vector<Model*>& replicas_;
  const Compute compute_;
  Communicator& communicator_;
  const EvaluationNews& news_;
};

}  // namespace

EvaluationResult evaluate_on_ranks(Evaluation& evaluation, const std::vector<Model*>& replicas,
                                   Compute compute, Communicator& communicator,
                                   const EvaluationNews& news) {
  Run run(replicas, compute, communicator, news);
  EvaluationResult result;
  evaluation.compute_on(replicas.front()->device());
  const bool complete =
      run.prepare(evaluation) && run.collect(evaluation, "", result) && run.on_rank_zero([&] {
        if (!result.sums.empty() || !result.chunks.empty())
          result.scores = evaluation.scores(result.sums, result.chunks);
      });
  if (complete) return result;
  EvaluationResult nothing;
  nothing.given_up = true;
  return nothing;
}

}  // namespace lockstep
