#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "tasks/images/image_commands.h"
#include "tensor/dtypes.h"
#include "tensor/safetensors.h"

namespace lockstep {

void check_pictures(const Dataset& dataset, const ImageDiffusionOptions& options,
                    const DenoiserFacts& facts) {
  if (facts.num_classes > 0) {
    const auto is_labels = [](const ArrayInfo& array) {
      return array.name == "labels" && !array.ragged && array.shape.empty();
    };
    if (std::none_of(dataset.arrays().begin(), dataset.arrays().end(), is_labels))
      throw DataError("the dataset has no array 'labels' of one number a picture",
                      "a class-conditional network needs one; task.model.kind=unet does not");
  }
  const std::vector<int64_t> wanted = {facts.channels, options.image_size, options.image_size};
  for (const ArrayInfo& array : dataset.arrays()) {
    if (array.name != "images") continue;
    if (array.dtype == at::kByte && !array.ragged && array.shape == wanted) return;
    throw DataError(
        fmt::format("the dataset's array 'images' is {} {}, and task.model.channels and "
                    "task.image_size ask for U8 {}",
                    find_dtype(array.dtype)->name, format_shape(array.shape), format_shape(wanted)),
        "set task.model.channels and task.image_size as the data are, or convert the data again");
  }
  throw DataError("the dataset has no array 'images'",
                  "the image_diffusion task needs u8 pictures [C, H, W] of that name");
}

at::Tensor labels_of(const Batch& batch, const DenoiserFacts& facts) {
  at::Tensor labels = batch.array("labels").to(at::kLong).clone();
  for (int64_t row = 0; row < batch.rows(); ++row) {
    const int64_t label = labels.const_data_ptr<int64_t>()[row];
    if (label < 0 || label >= facts.num_classes)
      throw DataError(fmt::format("sample {} has label {}, and task.model.num_classes is {}",
                                  batch.ids[static_cast<size_t>(row)], label, facts.num_classes));
  }
  return labels;
}

at::Tensor classes_input(const NamedTensors& inputs, int64_t batch, const DenoiserFacts& facts) {
  if (find_tensor(inputs, "classes") == nullptr) return at::full({batch}, -1, at::kLong);
  const at::Tensor classes = expect_integer(inputs, "classes", {batch});
  if (batch > 0 &&
      (classes.min().item<int64_t>() < -1 || classes.max().item<int64_t>() >= facts.num_classes))
    throw DataError(
        fmt::format("the input tensor 'classes' has values outside -1..{}", facts.num_classes - 1));
  return classes;
}

NamedTensors forward_images(const ImageDiffusion& images, Denoiser& model,
                            const NamedTensors& inputs) {
  const DenoiserFacts& facts = model.facts();
  std::vector<std::string> known = {"x", "t", "x_self_cond", "noise"};
  if (facts.num_classes > 0) known.push_back("classes");
  refuse_unknown(inputs, known);
  const at::Tensor x = expect_float(inputs, "x", {-1, facts.channels, -1, -1});
  if (x.size(2) % facts.divisor != 0 || x.size(3) % facts.divisor != 0 || x.numel() == 0)
    throw DataError(
        fmt::format(
            "the input tensor 'x' has shape {}, and its height and width must be multiples of {}",
            format_shape(x.sizes().vec()), facts.divisor),
        "each stage but the last of task.model.dim_mults halves them");
  DenoiserInput input{x, expect_integer(inputs, "t", {x.size(0)}), {}, {}, {}};
  if (facts.num_classes > 0) input.classes = classes_input(inputs, x.size(0), facts);
  if (find_tensor(inputs, "x_self_cond") != nullptr) {
    input.self_condition = expect_float(inputs, "x_self_cond", x.sizes().vec());
    if (!facts.self_condition)
      throw DataError(
          "the input tensor 'x_self_cond' is given to a network without self-conditioning",
          "set task.model.self_condition=true, or leave the tensor out");
  }
  if (find_tensor(inputs, "noise") == nullptr) return {{"prediction", model.predict(input)}};

  const int64_t timesteps = images.diffusion.schedule().timesteps;
  if (input.t.min().item<int64_t>() < 0 || input.t.max().item<int64_t>() >= timesteps)
    throw DataError(fmt::format("the input tensor 't' has values outside 0..{}", timesteps - 1));
  images.diffusion.check(facts);
  const NoisedBatch batch =
      images.diffusion.noised(x, input.t, expect_float(inputs, "noise", x.sizes().vec()));
  input.x = batch.x;
  const at::Tensor prediction = model.predict(input);
  const at::Tensor losses = images.diffusion.losses(prediction, batch);
  return {{"prediction", prediction}, {"losses", losses}, {"loss", losses.mean()}};
}

}  // namespace lockstep
