// The convolutional network of the Sudoku seed: which cell is revealed next, and with which digit.
//
// A time embedding is added once after the first convolution; then residual blocks of two 3×3
// convolutions with GroupNorm and SiLU (also after the second norm), one more convolution, and two
// heads of two linear layers on the flattened features. Tensor names are those of the seed's state
// dict, initial weights follow PyTorch's defaults, so checkpoints go both ways. Ten digits come in
// (0 = masked), either as x/4.5 − 1 in one channel or through an embedding of ten vectors.
//
// Features are kept channels-last, which is 5–11 % faster on CPUs; the heads' weights expect them
// channel-major, so they are flattened that way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "models/model.h"

namespace lockstep {

struct SeedConvOptions {
  int64_t hidden_dim = 256;
  int64_t num_layers = 6;
  int64_t kernel_size = 3;
  int64_t num_groups = 8;
  int64_t embedding_dim = 0;
  std::string embedding;

  void fields(FieldVisitor& visit) {
    visit("hidden_dim", hidden_dim, Range{1, 4096}, "channels");
    visit("num_layers", num_layers, Range{0, 512}, "residual blocks of two convolutions");
    visit("kernel_size", kernel_size, Range{1, 17}, "side of the convolutions, odd");
    visit("num_groups", num_groups, Range{1, 4096}, "groups of GroupNorm, a divisor of hidden_dim");
    visit("embedding_dim", embedding_dim, Range{0, 4096},
          "width of the digit embedding; 0 = none, digits as x/4.5 - 1");
    visit("embedding", embedding,
          "sudoku2vec run, checkpoint or .safetensors a new run takes its digit embedding from; "
          "empty = random");
  }
};

// Raw logits of both heads.
struct SeedLogits {
  at::Tensor position;  // [N,81], revealed cells not yet masked out
  at::Tensor value;     // [N,10], class 0 never occurs as a target
};

class SeedConv : public Model {
 public:
  // Throws ConfigError for options that do not fit together. `options.embedding` is not read here
  // (load_embedding).
  SeedConv(const SeedConvOptions& options, uint64_t seed);

  // cells: u8 [N,81] of 0..9; times: float32 [N], number of revealed cells (0..80). float32 logits,
  // differentiable if gradients are on.
  SeedLogits logits(const at::Tensor& cells, const at::Tensor& times) const;

  // Copies the embedding named by `options.embedding` into embedding_layer.weight; nothing if
  // empty. Throws ConfigError if there is no such file, DataError if it holds no embedding of this
  // width, CheckpointError if it belongs to a checkpoint that is damaged.
  void load_embedding();

  const SeedConvOptions& options() const { return options_; }

 private:
  struct Layer {
    at::Tensor weight, bias;
  };
  struct Block {
    Layer conv_0, norm_1, conv_3, norm_4;
  };
  at::Tensor convolve(const Layer& layer, const at::Tensor& x_NCHW) const;
  at::Tensor norm_silu(const Layer& layer, const at::Tensor& x_NCHW,
                       const at::Tensor& residual = {}) const;
  at::Tensor embed(const at::Tensor& cells) const;

  SeedConvOptions options_;
  at::Tensor embedding_;  // undefined without one
  Layer time_0_, time_2_, conv_in_, conv_out_, position_0_, position_2_, value_0_, value_2_;
  std::vector<Block> blocks_;
};

// The digit embedding of a sudoku2vec run (its folder, one of its checkpoints, or a safetensors
// file): tensor `embed.weight` or `embedding_layer.weight`, float32 [10, E]. Of a run, the newest
// checkpoint whose hashes are right. Throws as load_embedding.
struct DigitEmbedding {
  at::Tensor vectors;
  std::string file;  // where it was found
};
DigitEmbedding read_digit_embedding(const std::string& path);

}  // namespace lockstep
