// The image UNets as ONNX graphs, from their options and weights.
//
//   unet        inputs: x f32 [B, C, S, S], t i64 [B]; with self-conditioning also x_self_cond,
//               shaped like x
//   class_unet  inputs: x, t, classes i64 [B] (-1: no class); with guidance also guidance_scale,
//               an f32 scalar
//
// Both have one output, prediction [B, O, S, S]. With guidance it is the prediction of
// predict_guided: two passes, computed as one batch of twice the rows.
// B may change from call to call; S is the config's task.image_size.
#pragma once

#include "interop/onnx_graph.h"
#include "tasks/images/image_diffusion.h"

namespace lockstep {

struct OnnxInput {
  std::string name;
  std::vector<int64_t> shape;  // -1: the batch
};

struct DenoiserGraph {
  OnnxGraph graph;
  std::vector<OnnxInput> inputs;  // in order, for optimisation profiles
};

// `weights`: parameters and buffers of the model. Throws ConfigError for a kind of model that this
// cannot write, for `guidance` on a network without classes, and for a size that the stages do not
// divide.
DenoiserGraph denoiser_graph(const ImageDiffusionOptions& options, const NamedTensors& weights,
                             bool guidance);

// The names of models that it can write, for messages: "unet, class_unet".
std::string onnx_models();

}  // namespace lockstep
