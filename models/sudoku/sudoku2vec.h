// The attention network that pre-trains digit embeddings: guess a masked cell's vector from the
// others.
//
// Ten digit vectors of width E, with (cos, sin)(2π·cell/81) behind them, go through one multi-head
// self attention over the 81 cells; the first E of the E + 2 outputs at the masked cell should
// point where the vector of its digit points. Only the masked cell's output is used, so only its
// query is computed. Heads are interleaved as [head, (q, k, v), d]. Tensor names are those of the
// module it replaces: embed, attention.qkv_proj, attention.o_proj.
#pragma once

#include <cstdint>

#include "core/config/fields.h"
#include "models/model.h"

namespace lockstep {

struct Sudoku2VecOptions {
  int64_t embedding_dim = 10;
  int64_t attention_dim = 9;
  int64_t num_heads = 1;

  void fields(FieldVisitor& visit) {
    visit("embedding_dim", embedding_dim, Range{1, 4096}, "width of a digit's vector");
    visit("attention_dim", attention_dim, Range{1, 4096},
          "width of queries, keys and values over all heads");
    visit("num_heads", num_heads, Range{1, 4096},
          "heads of the attention, a divisor of attention_dim");
  }
};

class Sudoku2Vec : public Model {
 public:
  // The embedding starts normal, attention weights Xavier uniform with biases 0. Throws ConfigError
  // if num_heads does not divide attention_dim.
  Sudoku2Vec(const Sudoku2VecOptions& options, uint64_t seed);

  // cells u8 [N,81], target i64 [N] (0..80) → predicted vectors float32 [N,E]. The digit at
  // `target` is not looked at.
  at::Tensor predict(const at::Tensor& cells, const at::Tensor& target) const;
  // Cosines of predictions [N,E] with the ten digit vectors: [N,10].
  at::Tensor similarity(const at::Tensor& predictions) const;

 private:
  Sudoku2VecOptions options_;
  at::Tensor embed_, qkv_weight_, qkv_bias_, o_weight_, o_bias_;
  at::Tensor places_;  // [81,2]
};

}  // namespace lockstep
