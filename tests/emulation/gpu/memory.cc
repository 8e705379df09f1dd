#include "tests/emulation/gpu/memory.h"

#include <cstdlib>
#include <cstring>
#include <memory>

#include <c10/util/Exception.h>

namespace emulation {
namespace {

constexpr size_t kAlignment = 512;
constexpr int64_t kDefaultTotal = int64_t{1} << 30;

// Who used a part of an allocation, and when.
struct Mark {
  Span span;
  StreamId stream = 0;
  int64_t at = 0;
  std::string what;
};

struct Marks {
  std::vector<Mark> written, read;
};

struct Block {
  size_t bytes = 0;
  StreamId home = 0;
  bool of_graph = false;  // made while recording: belongs to the graphs, which use it again
  bool free = false;      // no tensor holds it any more; only for blocks of graphs
  Marks marks;
};

struct Kept {
  std::vector<char> contents;
  Marks marks;
};

struct Memory {
  std::map<const char*, Block> blocks;
  std::map<const char*, Kept> kept;
  std::map<const char*, size_t> pinned;
  bool recording = false;
  int device = 0;
  MemoryUse use;
};

// Never destroyed: LibTorch frees tensors until the very end.
Memory& memory() {
  static Memory& memory = *new Memory;
  return memory;
}

template <class Blocks>
auto containing(Blocks& blocks, const void* pointer) {
  const char* at = static_cast<const char*>(pointer);
  auto found = blocks.upper_bound(at);
  if (found == blocks.begin()) return blocks.end();
  --found;
  size_t bytes = 0;
  if constexpr (requires { found->second.bytes; })
    bytes = found->second.bytes;
  else
    bytes = found->second;
  return at < found->first + std::max<size_t>(bytes, 1) ? found : blocks.end();
}

void spoil(const char* at, size_t bytes) { std::memset(const_cast<char*>(at), 0xff, bytes); }

void* aligned(size_t bytes) {
  return std::aligned_alloc(
      kAlignment, (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment);
}

bool overlap(const Span& a, const Span& b) {
  return a.at < b.at + b.bytes && b.at < a.at + a.bytes;
}
bool covers(const Span& a, const Span& b) {
  return a.at <= b.at && b.at + b.bytes <= a.at + a.bytes;
}

const Mark* unknown_mark(const std::vector<Mark>& marks, const Span& span, StreamId stream,
                         const Clock& known) {
  for (const Mark& mark : marks) {
    if (mark.stream == stream || !overlap(mark.span, span)) continue;
    const auto done = known.find(mark.stream);
    if (done == known.end() || done->second < mark.at) return &mark;
  }
  return nullptr;
}

void check_one(const Work& work, StreamId stream, const Clock& known, const Span& span,
               bool writes) {
  const auto found = containing(memory().blocks, span.at);
  if (found == memory().blocks.end()) return;
  const Marks& marks = found->second.marks;
  const std::string who = work.what + " on stream " + std::to_string(stream);
  if (const Mark* mark = unknown_mark(marks.written, span, stream, known))
    blame(who + " uses what " + mark->what + " wrote on stream " + std::to_string(mark->stream) +
          " without waiting for it");
  if (!writes) return;
  if (const Mark* mark = unknown_mark(marks.read, span, stream, known))
    blame(who + " overwrites what " + mark->what + " on stream " + std::to_string(mark->stream) +
          " may still read");
}

}  // namespace

MemoryUse memory_use() {
  const std::lock_guard lock(big_lock());
  MemoryUse use = memory().use;
  const char* limit = std::getenv("LOCKSTEP_EMULATED_MEMORY");
  use.total = limit == nullptr ? kDefaultTotal : std::atoll(limit);
  return use;
}

void forget_peak() {
  const std::lock_guard lock(big_lock());
  memory().use.peak = memory().use.current;
}

void* allocate_device(size_t bytes, StreamId stream) {
  const std::lock_guard lock(big_lock());
  Memory& m = memory();
  const int64_t total = memory_use().total;
  TORCH_CHECK_WITH(OutOfMemoryError, m.use.current + static_cast<int64_t>(bytes) <= total,
                   "CUDA out of memory. Tried to allocate ", bytes, " bytes of ", total, ", ",
                   m.use.current, " in use");
  void* at = aligned(bytes);
  spoil(static_cast<const char*>(at), bytes);
  m.blocks[static_cast<const char*>(at)] = {
      .bytes = bytes, .home = stream, .of_graph = m.recording};
  m.use.current += static_cast<int64_t>(bytes);
  m.use.peak = std::max(m.use.peak, m.use.current);
  return at;
}

void free_device(void* pointer) {
  if (pointer == nullptr) return;
  const std::lock_guard lock(big_lock());
  Memory& m = memory();
  const auto found = m.blocks.find(static_cast<const char*>(pointer));
  if (found == m.blocks.end()) blame("memory is given back that was not allocated");
  m.use.current -= static_cast<int64_t>(found->second.bytes);
  if (found->second.of_graph) {
    found->second.free = true;
    return;
  }
  m.kept.erase(found->first);
  m.blocks.erase(found);
  std::free(pointer);
}

bool is_device(const void* pointer) {
  const std::lock_guard lock(big_lock());
  return containing(memory().blocks, pointer) != memory().blocks.end();
}

Span use_of(const void* pointer) {
  const std::lock_guard lock(big_lock());
  const auto found = containing(memory().blocks, pointer);
  if (found == memory().blocks.end()) return {};
  return found->first == pointer ? Span{found->first, found->second.bytes} : span(pointer, 1);
}

Span allocation_of(const void* pointer) {
  const std::lock_guard lock(big_lock());
  const auto found = containing(memory().blocks, pointer);
  return found == memory().blocks.end() ? Span{} : Span{found->first, found->second.bytes};
}

void set_device(int index) { memory().device = index; }
int device_index() { return memory().device; }
int device_count() {
  const char* count = std::getenv("LOCKSTEP_EMULATED_GPUS");
  return count == nullptr ? 1 : std::atoi(count);
}

void* allocate_pinned(size_t bytes) {
  const std::lock_guard lock(big_lock());
  void* at = aligned(bytes);
  memory().pinned[static_cast<const char*>(at)] = bytes;
  return at;
}

void free_pinned(void* pointer) {
  if (pointer == nullptr) return;
  const std::lock_guard lock(big_lock());
  memory().pinned.erase(static_cast<const char*>(pointer));
  std::free(pointer);
}

bool is_pinned(const void* pointer) {
  const std::lock_guard lock(big_lock());
  return containing(memory().pinned, pointer) != memory().pinned.end();
}

void check_use(const Work& work, StreamId stream, const Clock& known) {
  for (const Span& span : work.reads) check_one(work, stream, known, span, false);
  for (const Span& span : work.writes) check_one(work, stream, known, span, true);
}

void mark_use(const Work& work, StreamId stream, int64_t now) {
  Memory& m = memory();
  for (const Span& span : work.reads) {
    const auto found = containing(m.blocks, span.at);
    if (found == m.blocks.end()) continue;
    auto& read = found->second.marks.read;
    std::erase_if(
        read, [&](const Mark& mark) { return mark.stream == stream && covers(span, mark.span); });
    read.push_back({span, stream, now, work.what});
  }
  for (const Span& span : work.writes) {
    const auto found = containing(m.blocks, span.at);
    if (found == m.blocks.end()) continue;
    const auto covered = [&](const Mark& mark) { return covers(span, mark.span); };
    std::erase_if(found->second.marks.read, covered);
    std::erase_if(found->second.marks.written, covered);
    found->second.marks.written.push_back({span, stream, now, work.what});
  }
}

void keep_memory() {
  Memory& m = memory();
  m.recording = true;
  m.kept.clear();
  for (const auto& [at, block] : m.blocks)
    m.kept[at] = {std::vector<char>(at, at + block.bytes), block.marks};
}

void restore_memory() {
  Memory& m = memory();
  m.recording = false;
  for (auto& [at, block] : m.blocks) {
    const auto kept = m.kept.find(at);
    if (kept == m.kept.end()) {  // made while recording
      spoil(at, block.bytes);
      block.marks = {};
      continue;
    }
    std::memcpy(const_cast<char*>(at), kept->second.contents.data(), block.bytes);
    block.marks = kept->second.marks;
  }
  m.kept.clear();
}

void spoil_free_graph_memory() {
  for (const auto& [at, block] : memory().blocks)
    if (block.of_graph && block.free) spoil(at, block.bytes);
}

}  // namespace emulation
