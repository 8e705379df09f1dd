#include "models/sudoku/sudoku_packing.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace lockstep {

SudokuShape sudoku_shape(const SudokuNetOptions& options) {
  SudokuShape shape;
  shape.channels = static_cast<int>(options.channels);
  shape.hidden = static_cast<int>((options.hidden + 15) / 16 * 16);
  shape.blocks = static_cast<int>(options.blocks);
  shape.iterations = static_cast<int>(options.iterations);
  return shape;
}

std::vector<PackedParameter> sudoku_packing(const SudokuNetOptions& options,
                                            const SudokuLayout& layout) {
  const int64_t channels = options.channels, hidden = options.hidden, wide = layout.shape.hidden;
  std::vector<PackedParameter> all;
  // [input][output] and, transposed, [output][input]; `width` floats from one row to the next.
  auto forward = [](int64_t offset, int64_t width) { return PackedPlace{offset, 1, width}; };
  auto transposed = [](int64_t offset, int64_t width) { return PackedPlace{offset, width, 1}; };
  auto vector = [&](const std::string& name, int64_t size, int64_t offset) {
    all.push_back({name, {size}, size, 1, {forward(offset, 0)}, {forward(offset, 0)}});
  };
  auto matrix = [&](const std::string& name, int64_t outputs, int64_t inputs, PackedPlace one,
                    PackedPlace other) {
    all.push_back({name, {outputs, inputs}, outputs, inputs, {one, other}, {one}});
  };

  // The bias is part of all three rows of the embedding.
  const PackedPlace embed = forward(layout.embed, channels);
  all.push_back({"embed.weight", {channels, 3}, channels, 3, {embed}, {embed}});
  std::vector<PackedPlace> rows;
  for (int64_t row = 0; row < 3; ++row) rows.push_back(forward(layout.embed + row * channels, 0));
  all.push_back({"embed.bias", {channels}, channels, 1, rows, rows});

  static const char* const kUnits[] = {"row", "column", "box", "cell"};
  for (int64_t index = 0; index < options.blocks; ++index) {
    const std::string name = "blocks." + std::to_string(index) + ".";
    const SudokuLayout::Block at = layout.block(static_cast<int>(index));
    vector(name + "norm.weight", channels, at.norm_weight);
    vector(name + "norm.bias", channels, at.norm_bias);
    for (int t = 0; t < kSudokuUnits; ++t) {
      const SudokuLayout::Unit& unit = at.unit[t];
      matrix(name + kUnits[t] + ".weight", channels, channels, forward(unit.weight, channels),
             transposed(unit.weight_transposed, channels));
      vector(name + kUnits[t] + ".bias", channels, unit.bias);
      matrix(name + kUnits[t] + "_spread.weight", hidden, channels, forward(unit.spread, wide),
             transposed(unit.spread_transposed, channels));
    }
    matrix(name + "site.weight", hidden, channels, forward(at.site, wide),
           transposed(at.site_transposed, channels));
    vector(name + "site.bias", hidden, at.site_bias);
    // Its gradient lies in the transposed place: a row per output there.
    matrix(name + "out.weight", channels, hidden, transposed(at.out_transposed, wide),
           forward(at.out, channels));
    vector(name + "out.bias", channels, at.out_bias);
  }
  vector("head_norm.weight", channels, layout.head_norm_weight);
  vector("head_norm.bias", channels, layout.head_norm_bias);
  const PackedPlace head{layout.head_weight, 0, 1};
  all.push_back({"head.weight", {1, channels}, 1, channels, {head}, {head}});
  vector("head.bias", 1, layout.head_bias);
  return all;
}

void pack_weights(const std::vector<PackedParameter>& packing, const NamedTensors& parameters,
                  float* packed, int64_t size) {
  std::fill(packed, packed + size, 0.0f);
  for (size_t p = 0; p < packing.size(); ++p) {
    const float* from = parameters[p].tensor.const_data_ptr<float>();
    for (const PackedPlace& place : packing[p].weights)
      for (int64_t o = 0; o < packing[p].outputs; ++o)
        for (int64_t i = 0; i < packing[p].inputs; ++i)
          packed[place.offset + o * place.output_stride + i * place.input_stride] +=
              from[o * packing[p].inputs + i];
  }
}

std::vector<at::Tensor> unpack_gradients(const std::vector<PackedParameter>& packing,
                                         const float* packed, float factor) {
  std::vector<at::Tensor> gradients;
  gradients.reserve(packing.size());
  for (const PackedParameter& parameter : packing) {
    at::Tensor gradient = at::empty(parameter.shape, at::kFloat);
    float* to = gradient.mutable_data_ptr<float>();
    for (int64_t o = 0; o < parameter.outputs; ++o)
      for (int64_t i = 0; i < parameter.inputs; ++i) {
        float sum = 0;
        for (const PackedPlace& place : parameter.gradients)
          sum += packed[place.offset + o * place.output_stride + i * place.input_stride];
        *to++ = sum * factor;
      }
    gradients.push_back(std::move(gradient));
  }
  return gradients;
}

}  // namespace lockstep
