// The arena: all parameters of a model (or their gradients, moments, EMA) in one flat float
// buffer, in parameter order.
//
// Each parameter starts at a multiple of 64 bytes; gaps hold zeros. Blocks of 65,536 elements
// are the unit of the norm (design rule 7) and of sharded optimizers (rule 8).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/named.h"

namespace lockstep {

struct ArenaEntry {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;  // first element
  int64_t count = 0;   // elements
};

struct ArenaLayout {
  static constexpr int64_t kAlignElements = 16;  // 64 bytes of float32
  static constexpr int64_t kBlockElements = 65'536;

  std::vector<ArenaEntry> entries;  // in parameter order
  int64_t size = 0;                 // elements, gaps included, a multiple of kAlignElements

  int64_t num_blocks() const { return (size + kBlockElements - 1) / kBlockElements; }
  // Lays out float32 tensors in the given order. Throws ConfigError for another dtype.
  static ArenaLayout of(const NamedTensors& parameters);
};

// The values of all parameters, in layout order, found by PREFIX + name. Strict: throws
// CheckpointError naming `from` if one is missing, of another dtype or shape, or a name with this
// prefix is unknown.
std::vector<at::Tensor> find_parameters(const ArenaLayout& layout, const NamedTensors& values,
                                        const std::string& prefix, const std::string& from);

// One float32 buffer with that layout, 64-byte aligned, zeroed.
class Arena {
 public:
  explicit Arena(const ArenaLayout& layout, at::Device device = at::kCPU);
  const ArenaLayout& layout() const { return *layout_; }
  at::Tensor& flat() { return flat_; }
  const at::Tensor& flat() const { return flat_; }
  float* data() const { return flat_.data_ptr<float>(); }  // of the device
  // Views shaped as the parameters, in order; they alias the buffer.
  const std::vector<at::Tensor>& views() const { return views_; }
  // The views with names, for checkpoints; `prefix` is put before each name.
  NamedTensors named(const std::string& prefix = "") const;
  // Copies values by name. Strict; throws CheckpointError naming `from`.
  void load(const NamedTensors& values, const std::string& prefix, const std::string& from);

 private:
  const ArenaLayout* layout_;  // outlives the arena
  at::Tensor flat_;
  std::vector<at::Tensor> views_;
};

}  // namespace lockstep
