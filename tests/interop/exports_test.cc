#include "interop/exports.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/errors.h"
#include "core/files.h"
#include "interop/onnx_denoiser.h"
#include "models/unet/unet.h"
#include "tasks/tasks.h"
#include "tensor/safetensors.h"
#include "tests/harness/scratch_folder.h"

namespace lockstep {
namespace {

std::string fact_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.message();
  }
  return "nothing was thrown";
}

TEST(ExportFormats, AreChosenByNameOrByTheOutputsExtension) {
  EXPECT_STREQ(find_export_format("", "a/b.onnx").name, "onnx");
  EXPECT_STREQ(find_export_format("", "b.safetensors").name, "safetensors");
  EXPECT_STREQ(find_export_format("onnx", "b.bin").name, "onnx");
}

TEST(ExportFormats, SuggestTheNearestNameForAnUnknownOne) {
  EXPECT_NE(
      fact_of([] { find_export_format("safetensor", "x"); }).find("did you mean safetensors?"),
      std::string::npos);
  EXPECT_NE(
      fact_of([] { find_export_format("torchscript", "x"); }).find("unknown format 'torchscript'"),
      std::string::npos);
  EXPECT_NE(fact_of([] { find_export_format("", "folder"); }).find("needs --format"),
            std::string::npos);
}

TEST(ExportedSafetensors, HoldTheSameBytesAndSayWhatTheyAre) {
  const ScratchFolder folder;
  const auto tasks = task_kinds();
  const Choice task(tasks, "sudoku"), sampler;
  ExportSource source{
      &task,
      &sampler,
      {{"b.weight", at::arange(6, at::kFloat).reshape({2, 3})}, {"a", at::ones({2})}},
      "ema",
      70};
  ExportRequest request;
  std::string first;
  for (const char* name : {"one.safetensors", "two.safetensors"}) {
    request.output = folder / name;
    export_safetensors(source, request);
    const std::string bytes = read_file(request.output);
    if (!first.empty()) {
      EXPECT_EQ(bytes, first);
    }
    first = bytes;
  }
  const SafetensorsFile file(request.output);
  EXPECT_EQ(file.tensors().front().name, "b.weight");
  EXPECT_TRUE(at::equal(file.load("b.weight"), source.weights.front().tensor));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("task"), "sudoku");
  EXPECT_EQ(file.metadata().at("step"), "70");
  EXPECT_EQ(file.metadata().at("weights"), "ema");
}

TEST(ExportedOnnx, IsRefusedForOtherTasksByName) {
  const auto tasks = task_kinds();
  const Choice task(tasks, "sudoku"), sampler;
  const ExportSource source{&task, &sampler, {}, "ema", 1};
  const std::string message = fact_of([&] { export_onnx(source, {}); });
  EXPECT_NE(message.find("not the task sudoku"), std::string::npos) << message;
  EXPECT_NE(message.find("--format safetensors works for every task"), std::string::npos)
      << message;
}

TEST(ExportedOnnx, HoldsEveryTensorOfTheNetwork) {
  ImageDiffusionOptions options;
  options.image_size = 8;
  auto& unet = const_cast<UnetOptions&>(options.model.as<UnetOptions>());
  unet.dim = 8;
  unet.dim_mults = {1, 2};
  const auto model = make_unet(unet, 1);
  const DenoiserGraph graph = denoiser_graph(options, model->parameters(), false);
  const ScratchFolder folder;
  graph.graph.write(folder / "net.onnx", {});
  const std::string file = read_file(folder / "net.onnx");
  for (const NamedTensor& entry : model->parameters()) {
    if (entry.name.ends_with("mem_kv")) continue;  // two constants: .key and .value
    const std::string bytes(static_cast<const char*>(entry.tensor.const_data_ptr()),
                            entry.tensor.nbytes());
    EXPECT_NE(file.find(entry.name), std::string::npos) << entry.name;
    EXPECT_NE(file.find(bytes), std::string::npos) << entry.name;
  }
}

TEST(ExportedOnnx, RefusesSizesThatTheStagesDoNotDivideAndGuidanceWithoutClasses) {
  ImageDiffusionOptions options;
  options.image_size = 12;  // four stages halve three times
  EXPECT_THROW(denoiser_graph(options, {}, false), ConfigError);
  options.image_size = 16;
  EXPECT_THROW(denoiser_graph(options, {}, true), ConfigError);
}

}  // namespace
}  // namespace lockstep
