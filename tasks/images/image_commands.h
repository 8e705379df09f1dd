// The commands of the image_diffusion task beside training: `forward` and `sample`; and what it
// asks of data.
#pragma once

#include "data/dataset.h"
#include "tasks/images/image_diffusion.h"
#include "tasks/task.h"

namespace lockstep {

// Throws DataError unless `dataset` has pictures of the config's size and channels.
void check_pictures(const Dataset& dataset, const ImageDiffusionOptions& options,
                    const DenoiserFacts& facts);
// `labels` of a batch, i64 [B]. Throws DataError for a label that the network does not have.
at::Tensor labels_of(const Batch& batch, const DenoiserFacts& facts);
// `classes` i64 [B] of a command's inputs, -1 for none (all, if the tensor is absent). Throws
// DataError.
at::Tensor classes_input(const NamedTensors& inputs, int64_t batch, const DenoiserFacts& facts);

// See image_diffusion_task.h. Throws DataError.
NamedTensors forward_images(const ImageDiffusion& images, Denoiser& model,
                            const NamedTensors& inputs);

// `--interpolate`: two pictures, or tensors x1 and x2 f32 [B, C, H, W] in [-1, 1] (picture_pair.h),
// both noised to --time, mixed (--mix of x2; several numbers give B pictures each, in that order),
// and denoised from there by DDPM; f32 around [-1, 1]. `total` hears of the number of passes first.
// Throws ConfigError, DataError.
at::Tensor interpolate_images(const ImageDiffusion& images, Denoiser& model,
                              const SampleRequest& request,
                              const std::function<void(int64_t)>& total,
                              const std::function<void()>& after_step);

std::vector<SampleFlag> image_sample_flags();
// Draws request.count pictures, or those of --noise, and writes request.output: a .safetensors file
// with `images` = (x+1)/2 (and `trajectory`, the states x with the start first), a .png grid, or a
// folder of single .png files.
void sample_images(const ImageDiffusion& images, Denoiser& model, const SampleRequest& request);

}  // namespace lockstep
