// The layers of models/unet/unet_layers.h as ONNX nodes: the same arithmetic in the same order,
// weights by the same names.
//
// Maps are square with a size known here; only the batch is open. Dropout is absent, as in
// evaluation.
#pragma once

#include <string>

#include "interop/onnx_graph.h"
#include "models/unet/unet_layers.h"

namespace lockstep {

// A value [B, channels, size, size].
struct OnnxMap {
  std::string name;
  int64_t channels = 0, size = 0;
};

class OnnxLayers {
 public:
  // Both must outlive this object. `batch` names an i64 [1] value: the number of rows.
  OnnxLayers(OnnxGraph& graph, const NamedTensors& weights, std::string batch)
      : graph_(graph), weights_(weights), batch_(std::move(batch)) {}
  OnnxGraph& graph() { return graph_; }

  // The tensor `name`, in the graph from now on. Throws InternalError if there is none.
  std::string weight(const std::string& name);
  const at::Tensor& value(const std::string& name) const;

  OnnxMap convolution(const OnnxMap& x, const std::string& name, int64_t stride = 1);
  // Space to depth by 2, then the 1x1 convolution `name`: one 2x2 convolution of stride 2 with the
  // same numbers.
  OnnxMap space_to_depth(const OnnxMap& x, const std::string& name);
  OnnxMap upsampled(const OnnxMap& x);  // nearest, twice the size
  OnnxMap together(const OnnxMap& x, const OnnxMap& y);
  std::string linear(const std::string& x, const std::string& name);
  std::string silu(const std::string& x);
  std::string gelu(const std::string& x);
  OnnxMap norm(const OnnxMap& x, const std::string& name);
  OnnxMap block(const OnnxMap& x, const std::string& name, const std::string& condition);
  OnnxMap attention(const OnnxMap& x, const std::string& name, bool full,
                    const AttentionShape& shape);

  // f32 [B] → [B, dim].
  std::string sinusoidal(const std::string& t, int64_t dim, double theta);
  std::string fourier(const std::string& t, const std::string& weights);

 private:
  std::string add(const std::string& x, const std::string& y) { return graph_.node("Add", {x, y}); }
  std::string multiply(const std::string& x, const std::string& y) {
    return graph_.node("Mul", {x, y});
  }
  std::string reshape(const std::string& x, const std::vector<int64_t>& shape);
  std::string transpose(const std::string& x, const std::vector<int64_t>& order);
  std::string column(const std::string& t) { return reshape(t, {-1, 1}); }
  // A part of mem_kv for each row of the batch.
  std::string memory(const std::string& name, int64_t part);
  OnnxMap attend_full(const OnnxMap& qkv, const std::string& memory_name,
                      const AttentionShape& shape);
  OnnxMap attend_linear(const OnnxMap& qkv, const std::string& memory_name,
                        const AttentionShape& shape);

  OnnxGraph& graph_;
  const NamedTensors& weights_;
  std::string batch_;
};

}  // namespace lockstep
