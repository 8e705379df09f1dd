#include "tasks/images/picture_pair.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "data/images/decode_image.h"
#include "data/images/image_fit.h"
#include "tasks/flag_values.h"
#include "tasks/images/image_diffusion.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

// What `data convert` did to the pictures of data.train, for the network's channels and size.
ImageFitOptions fit_of(const SampleRequest& request, const DenoiserFacts& facts, int64_t size) {
  ImageFitOptions fit;
  const std::string text = request.recipe ? request.recipe() : std::string();
  const nlohmann::json recipe = nlohmann::json::parse(text, nullptr, false);
  const auto word = [&](const char* key, std::string& value) {
    if (recipe.contains(key) && recipe[key].is_string()) value = recipe[key].get<std::string>();
  };
  const bool known = recipe.is_object() && recipe.contains("resize");
  if (known) {
    word("resize", fit.resize);
    word("filter", fit.filter);
    word("alpha", fit.alpha);
    if (recipe.contains("exif_orientation") && recipe["exif_orientation"].is_boolean())
      fit.exif_orientation = recipe["exif_orientation"].get<bool>();
  }
  fit.size = size;
  fit.channels = facts.channels;
  if (facts.channels != 1 && facts.channels != 3 && facts.channels != 4)
    throw ConfigError(fmt::format("pictures have 1, 3 or 4 channels, and task.model.channels is {}",
                                  facts.channels),
                      "give tensors x1 and x2 in a .safetensors file",
                      on_command_line("--interpolate"));
  log_info(fmt::format("pictures come to {} x {} by resize={}, filter={} ({})", size, size,
                       fit.resize, fit.filter,
                       known ? "as those of data.train" : "data.train has no record of a policy"));
  return fit;
}

at::Tensor read_signal(const std::string& path, const ImageFitOptions& fit) {
  try {
    const std::string bytes = read_file(path);
    DecodedImage decoded =
        decode_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    const Pixels pixels = fit_image(std::move(decoded.pixels), decoded.orientation, fit);
    at::Tensor planes = at::empty({1, pixels.channels, pixels.height, pixels.width}, at::kByte);
    to_planes(pixels, planes.mutable_data_ptr<uint8_t>());
    return pictures_to_signal(planes);
  } catch (DataError& error) {
    error.set_place({path});
    throw;
  }
}

}  // namespace

NamedTensors read_picture_pair(const SampleRequest& request, const DenoiserFacts& facts,
                               int64_t size) {
  const std::string given = request.value("--interpolate");
  if (given.ends_with(".safetensors")) {
    NamedTensors inputs = load_safetensors(given);
    refuse_unknown(inputs, {"x1", "x2", "noise1", "noise2", "step_noise"});
    const at::Tensor x1 = expect_float(inputs, "x1", {-1, facts.channels, -1, -1});
    expect_float(inputs, "x2", x1.sizes().vec());
    if (x1.numel() == 0 || x1.size(2) % facts.divisor != 0 || x1.size(3) % facts.divisor != 0)
      throw DataError(fmt::format(
          "the input tensor 'x1' has shape {}, and its height and width must be multiples of {}",
          c10::str(x1.sizes()), facts.divisor));
    return inputs;
  }
  const size_t comma = given.find(',');
  if (comma == std::string::npos || comma == 0 || comma + 1 == given.size() ||
      given.find(',', comma + 1) != std::string::npos)
    throw ConfigError(
        "--interpolate needs two pictures, or a file of tensors",
        "write --interpolate a.png,b.jpg, or --interpolate pair.safetensors with tensors x1 and x2",
        on_command_line("--interpolate " + given));
  const ImageFitOptions fit = fit_of(request, facts, size);
  return {{"x1", read_signal(given.substr(0, comma), fit)},
          {"x2", read_signal(given.substr(comma + 1), fit)}};
}

}  // namespace lockstep
