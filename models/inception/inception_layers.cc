// The list of Inception's convolutions, and how they are read from a file.
#include <set>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "models/inception/inception.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

using Layer = Inception::Layer;

constexpr double kBatchNormEpsilon = 1e-3;

// A square kernel that keeps the size if `stride` is 1 and `pad` is set.
Layer square(std::string name, int64_t in, int64_t out, int64_t kernel, int64_t stride = 1,
             bool pad = false) {
  const int64_t padding = pad ? kernel / 2 : 0;
  return {std::move(name), in, out, kernel, kernel, stride, padding, padding};
}

Layer flat(std::string name, int64_t in, int64_t out, int64_t kernel_y, int64_t kernel_x) {
  return {std::move(name), in, out, kernel_y, kernel_x, 1, kernel_y / 2, kernel_x / 2};
}

void add_a(std::vector<Layer>& list, const std::string& name, int64_t in, int64_t pool) {
  list.push_back(square(name + ".branch1x1", in, 64, 1));
  list.push_back(square(name + ".branch5x5_1", in, 48, 1));
  list.push_back(square(name + ".branch5x5_2", 48, 64, 5, 1, true));
  list.push_back(square(name + ".branch3x3dbl_1", in, 64, 1));
  list.push_back(square(name + ".branch3x3dbl_2", 64, 96, 3, 1, true));
  list.push_back(square(name + ".branch3x3dbl_3", 96, 96, 3, 1, true));
  list.push_back(square(name + ".branch_pool", in, pool, 1));
}

void add_b(std::vector<Layer>& list, const std::string& name, int64_t in) {
  list.push_back(square(name + ".branch3x3", in, 384, 3, 2));
  list.push_back(square(name + ".branch3x3dbl_1", in, 64, 1));
  list.push_back(square(name + ".branch3x3dbl_2", 64, 96, 3, 1, true));
  list.push_back(square(name + ".branch3x3dbl_3", 96, 96, 3, 2));
}

void add_c(std::vector<Layer>& list, const std::string& name, int64_t in, int64_t c7) {
  list.push_back(square(name + ".branch1x1", in, 192, 1));
  list.push_back(square(name + ".branch7x7_1", in, c7, 1));
  list.push_back(flat(name + ".branch7x7_2", c7, c7, 1, 7));
  list.push_back(flat(name + ".branch7x7_3", c7, 192, 7, 1));
  list.push_back(square(name + ".branch7x7dbl_1", in, c7, 1));
  list.push_back(flat(name + ".branch7x7dbl_2", c7, c7, 7, 1));
  list.push_back(flat(name + ".branch7x7dbl_3", c7, c7, 1, 7));
  list.push_back(flat(name + ".branch7x7dbl_4", c7, c7, 7, 1));
  list.push_back(flat(name + ".branch7x7dbl_5", c7, 192, 1, 7));
  list.push_back(square(name + ".branch_pool", in, 192, 1));
}

void add_d(std::vector<Layer>& list, const std::string& name, int64_t in) {
  list.push_back(square(name + ".branch3x3_1", in, 192, 1));
  list.push_back(square(name + ".branch3x3_2", 192, 320, 3, 2));
  list.push_back(square(name + ".branch7x7x3_1", in, 192, 1));
  list.push_back(flat(name + ".branch7x7x3_2", 192, 192, 1, 7));
  list.push_back(flat(name + ".branch7x7x3_3", 192, 192, 7, 1));
  list.push_back(square(name + ".branch7x7x3_4", 192, 192, 3, 2));
}

void add_e(std::vector<Layer>& list, const std::string& name, int64_t in) {
  list.push_back(square(name + ".branch1x1", in, 320, 1));
  list.push_back(square(name + ".branch3x3_1", in, 384, 1));
  list.push_back(flat(name + ".branch3x3_2a", 384, 384, 1, 3));
  list.push_back(flat(name + ".branch3x3_2b", 384, 384, 3, 1));
  list.push_back(square(name + ".branch3x3dbl_1", in, 448, 1));
  list.push_back(square(name + ".branch3x3dbl_2", 448, 384, 3, 1, true));
  list.push_back(flat(name + ".branch3x3dbl_3a", 384, 384, 1, 3));
  list.push_back(flat(name + ".branch3x3dbl_3b", 384, 384, 3, 1));
  list.push_back(square(name + ".branch_pool", in, 192, 1));
}

// pytorch-fid's class InceptionV3 calls its parts blocks.I.J; its checkpoint has the original
// names.
constexpr std::pair<const char*, const char*> kWrapped[] = {
    {"Conv2d_1a_3x3", "blocks.0.0"}, {"Conv2d_2a_3x3", "blocks.0.1"},
    {"Conv2d_2b_3x3", "blocks.0.2"}, {"Conv2d_3b_1x1", "blocks.1.0"},
    {"Conv2d_4a_3x3", "blocks.1.1"}, {"Mixed_5b", "blocks.2.0"},
    {"Mixed_5c", "blocks.2.1"},      {"Mixed_5d", "blocks.2.2"},
    {"Mixed_6a", "blocks.2.3"},      {"Mixed_6b", "blocks.2.4"},
    {"Mixed_6c", "blocks.2.5"},      {"Mixed_6d", "blocks.2.6"},
    {"Mixed_6e", "blocks.2.7"},      {"Mixed_7a", "blocks.3.0"},
    {"Mixed_7b", "blocks.3.1"},      {"Mixed_7c", "blocks.3.2"}};

std::string wrapped_name(const std::string& layer) {
  const size_t dot = layer.find('.');
  for (const auto& [plain, wrapped] : kWrapped)
    if (layer.substr(0, dot) == plain)
      return wrapped + (dot == std::string::npos ? "" : layer.substr(dot));
  return layer;
}

const char* const kHelp =
    "scripts/convert inception makes the file from pytorch-fid's pt_inception-2015-12-05 weights";

at::Tensor load_tensor(const SafetensorsFile& file, const std::string& name,
                       const std::vector<int64_t>& shape) {
  const TensorInfo* info = file.find(name);
  if (info == nullptr)
    throw DataError("the Inception file has no tensor '" + name + "'", kHelp,
                    {file.path().string()});
  if (info->dtype != at::kFloat || info->shape != shape)
    throw DataError(fmt::format("tensor '{}' of the Inception file is {} {}, not Float {}", name,
                                c10::toString(info->dtype), c10::str(c10::IntArrayRef(info->shape)),
                                c10::str(c10::IntArrayRef(shape))),
                    kHelp, {file.path().string()});
  const at::Tensor value = file.load(name);
  if (!at::isfinite(value).all().item<bool>())
    throw DataError("tensor '" + name + "' of the Inception file has numbers that are not finite",
                    kHelp, {file.path().string()});
  return value.to(at::kDouble);
}

// Everything in the file must be a part of the network: another network with some equal names would
// give a number that looks like an FID.
void refuse_strangers(const SafetensorsFile& file, bool wrapped) {
  std::set<std::string> known;
  for (const Layer& layer : Inception::layers(2048)) {
    const std::string name = wrapped ? wrapped_name(layer.name) : layer.name;
    for (const char* part : {".conv.weight", ".bn.weight", ".bn.bias", ".bn.running_mean",
                             ".bn.running_var", ".bn.num_batches_tracked"})
      known.insert(name + part);
  }
  if (const TensorInfo* head = file.find("fc.weight");
      head != nullptr && head->shape != std::vector<int64_t>{1008, 2048})
    throw DataError(
        fmt::format("the file's classifier has shape {}, that of FID's Inception [1008, 2048]",
                    c10::str(c10::IntArrayRef(head->shape))),
        "torchvision's ImageNet weights give other numbers than FID; " + std::string(kHelp),
        {file.path().string()});
  for (const TensorInfo& info : file.tensors())
    if (!known.contains(info.name) && info.name != "fc.weight" && info.name != "fc.bias")
      throw DataError("the Inception file has an unknown tensor '" + info.name + "'", kHelp,
                      {file.path().string()});
}

}  // namespace

std::vector<Layer> Inception::layers(int64_t dimensions) {
  if (dimensions != 64 && dimensions != 192 && dimensions != 768 && dimensions != 2048)
    throw ConfigError(fmt::format("Inception has no {} features", dimensions),
                      "they are 64, 192, 768 or 2048");
  std::vector<Layer> list = {square("Conv2d_1a_3x3", 3, 32, 3, 2),
                             square("Conv2d_2a_3x3", 32, 32, 3),
                             square("Conv2d_2b_3x3", 32, 64, 3, 1, true)};
  if (dimensions == 64) return list;
  list.push_back(square("Conv2d_3b_1x1", 64, 80, 1));
  list.push_back(square("Conv2d_4a_3x3", 80, 192, 3));
  if (dimensions == 192) return list;
  add_a(list, "Mixed_5b", 192, 32);
  add_a(list, "Mixed_5c", 256, 64);
  add_a(list, "Mixed_5d", 288, 64);
  add_b(list, "Mixed_6a", 288);
  add_c(list, "Mixed_6b", 768, 128);
  add_c(list, "Mixed_6c", 768, 160);
  add_c(list, "Mixed_6d", 768, 160);
  add_c(list, "Mixed_6e", 768, 192);
  if (dimensions == 768) return list;
  add_d(list, "Mixed_7a", 768);
  add_e(list, "Mixed_7b", 1280);
  add_e(list, "Mixed_7c", 2048);
  return list;
}

Inception::Inception(const fs::path& weights, int64_t dimensions) : dimensions_(dimensions) {
  const SafetensorsFile file(weights);
  const bool wrapped = file.find("blocks.0.0.conv.weight") != nullptr;
  refuse_strangers(file, wrapped);
  for (const Layer& layer : layers(dimensions)) {
    const std::string name = wrapped ? wrapped_name(layer.name) : layer.name;
    const at::Tensor kernel = load_tensor(file, name + ".conv.weight",
                                          {layer.out, layer.in, layer.kernel_y, layer.kernel_x});
    const at::Tensor gain = load_tensor(file, name + ".bn.weight", {layer.out}),
                     shift = load_tensor(file, name + ".bn.bias", {layer.out});
    const at::Tensor mean = load_tensor(file, name + ".bn.running_mean", {layer.out});
    const at::Tensor variance = load_tensor(file, name + ".bn.running_var", {layer.out});
    if (variance.lt(0).any().item<bool>())
      throw DataError("tensor '" + name + ".bn.running_var' is negative somewhere", kHelp,
                      {weights.string()});
    const at::Tensor scale = gain / (variance + kBatchNormEpsilon).sqrt();
    const at::Tensor folded = (kernel * scale.reshape({-1, 1, 1, 1}))
                                  .to(at::kFloat)
                                  .contiguous(at::MemoryFormat::ChannelsLast);
    convolutions_[layer.name] = {constant(folded), constant((shift - mean * scale).to(at::kFloat)),
                                 layer.stride, layer.pad_y, layer.pad_x};
  }
  weights_hash_ = hash_file(weights);
}

}  // namespace lockstep
