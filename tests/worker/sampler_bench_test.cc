#include "worker/bench/sampler_bench.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "kernels/attention_backend.h"
#include "models/unet/unet.h"

namespace lockstep {
namespace {

ImageDiffusionOptions tiny_images() {
  ImageDiffusionOptions options;
  options.image_size = 8;
  options.diffusion.timesteps = 60;
  return options;
}

// A small network and a bench of two pictures.
struct Tiny {
  Tiny() {
    UnetOptions unet;
    unet.dim = 8;
    unet.dim_mults = {1, 2};
    for (int i = 0; i < 2; ++i) networks.push_back(make_unet(unet, 3));
    bench.batch = 3;
    bench.repeats = 2;
    bench.warmup = 2;
    bench.reference_steps = 60;
    bench.samplers = {"ddim", "dpmpp_2m"};
    bench.steps = {5};
  }
  SamplerReport run() {
    SamplerReport report;
    SamplerBench sampler_bench(images, {networks[0].get(), networks[1].get()}, *device, bench);
    sampler_bench.run(sampler_cases(bench, configured, images.diffusion.schedule()), report);
    tables = sampler_bench.operator_tables();
    return report;
  }

  const std::unique_ptr<Device> device = make_cpu_device();
  const ImageDiffusion images{tiny_images()};
  std::vector<std::unique_ptr<Denoiser>> networks;
  SamplerBenchOptions bench;
  Choice configured{sampler_kinds(), "ddim"};
  std::map<std::string, std::string> tables;
};

TEST(SamplerBench, CasesAreEveryCombinationAndDdpmTakesAllTimesteps) {
  Tiny tiny;
  tiny.bench.samplers = {"ddpm", "ddim"};
  tiny.bench.steps = {5, 10};
  tiny.bench.precisions = {"fp32", "bf16"};
  tiny.bench.attentions = {"auto", "math"};
  const auto cases = sampler_cases(tiny.bench, tiny.configured, tiny.images.diffusion.schedule());
  ASSERT_EQ(cases.size(), 12u);
  EXPECT_EQ(cases[0].row.steps, 60);
  EXPECT_EQ(cases[1].row.attention, "math");
  EXPECT_EQ(cases[4].row.sampler, "ddim");
  EXPECT_EQ(cases[4].row.steps, 5);
  EXPECT_EQ(cases[11].row.steps, 10);
}

TEST(SamplerBench, RefusesUnknownNamesAndTooManySteps) {
  Tiny tiny;
  const auto refused = [&](const SamplerBenchOptions& options) {
    EXPECT_THROW(sampler_cases(options, tiny.configured, tiny.images.diffusion.schedule()),
                 ConfigError);
  };
  SamplerBenchOptions o = tiny.bench;
  o.samplers = {"dim"};
  refused(o);
  (o = tiny.bench).steps = {61};
  refused(o);
  (o = tiny.bench).precisions = {"fp8"};
  refused(o);
  (o = tiny.bench).attentions = {"fast"};
  refused(o);
  (o = tiny.bench).graphs = {"maybe"};
  refused(o);
}

TEST(SamplerBench, ErrorIsZeroForTheReferenceItselfAndFallsWithTheSteps) {
  Tiny tiny;
  tiny.bench.samplers = {"dpmpp_2m"};
  tiny.bench.steps = {5, 10, 30, 60};
  DpmppOptions options;
  options.spacing = "trailing";
  tiny.configured.select("dpmpp_2m");
  dynamic_cast<OptionsOf<DpmppOptions>&>(*tiny.configured.options).value = options;
  const SamplerReport report = tiny.run();
  ASSERT_EQ(report.rows.size(), 4u);
  EXPECT_GT(*report.rows[0].error, 2 * *report.rows[2].error);
  EXPECT_GT(*report.rows[1].error, *report.rows[2].error);
  EXPECT_GT(*report.rows[2].error, 0);
  EXPECT_EQ(*report.rows[3].error, 0);
}

TEST(SamplerBench, RowsAddUp) {
  Tiny tiny;
  const SamplerReport report = tiny.run();
  for (const SamplerRow& row : report.rows) {
    EXPECT_EQ(row.problem, "");
    EXPECT_EQ(row.draw.count, 2);
    EXPECT_EQ(row.step.count, 10);
    EXPECT_NEAR(row.images_per_second * row.draw.p50, 3000, 1e-6);
    EXPECT_NEAR(row.steps_per_second * row.draw.p50, 5000, 1e-6);
    EXPECT_GT(row.network_share, 0.3);
    EXPECT_LE(row.network_share, 1);
    EXPECT_LE(row.step.mean * 5, row.draw.mean * 1.001);
    EXPECT_GT(row.cpu_ms, 0);
    EXPECT_GT(row.faster, 0);
  }
}

TEST(SamplerBench, PeakMemoryIsTheSameInEveryRunAndGrowsWithTheBatch) {
  Tiny tiny;
  const SamplerReport first = tiny.run(), second = tiny.run();
  EXPECT_EQ(first.rows[0].peak_megabytes, second.rows[0].peak_megabytes);
  tiny.bench.batch = 12;
  const double larger = tiny.run().rows[0].peak_megabytes;
  EXPECT_GT(larger, 2 * first.rows[0].peak_megabytes);
  EXPECT_LT(larger, 8 * first.rows[0].peak_megabytes);
}

TEST(SamplerBench, WhatTheDeviceLacksIsSaidAndNothingElseIsMeasuredInstead) {
  Tiny tiny;
  tiny.bench.samplers = {"ddim"};
  tiny.bench.graphs = {"off", "on"};
  tiny.bench.attentions = {"math", "flash", "efficient"};
  const SamplerReport report = tiny.run();
  ASSERT_EQ(report.rows.size(), 6u);
  EXPECT_EQ(report.rows[0].problem, "");
  EXPECT_EQ(report.rows[1].problem, "");
  EXPECT_NE(report.rows[2].problem.find("not available"), std::string::npos);
  for (size_t i = 3; i < 6; ++i)
    EXPECT_NE(report.rows[i].problem.find("no graphs"), std::string::npos);
  EXPECT_NEAR(*report.rows[0].error, *report.rows[1].error, 1e-4);
  EXPECT_TRUE(at::globalContext().userEnabledFlashSDP() &&
              at::globalContext().userEnabledMathSDP());
}

TEST(SamplerBench, AGpuHasGraphsAndItsOwnAttention) {
  SamplerRow row;
  row.precision = "fp32";
  row.graph = "on";
  for (const char* attention : {"auto", "math", "efficient"}) {
    row.attention = attention;
    EXPECT_EQ(why_not(row, "cuda"), "") << attention;
  }
  row.attention = "flash";
  EXPECT_NE(why_not(row, "cuda").find("bf16 and fp16"), std::string::npos);
  row.precision = "bf16";
  EXPECT_EQ(why_not(row, "cuda"), "");
  EXPECT_NE(why_not(row, "cpu").find("no graphs"), std::string::npos);
}

TEST(SamplerBench, SamplersWithNoiseHaveNoError) {
  Tiny tiny;
  tiny.bench.samplers = {"ddpm"};
  const SamplerReport report = tiny.run();
  EXPECT_TRUE(report.rows[0].is_random);
  EXPECT_FALSE(report.rows[0].error.has_value());
}

TEST(SamplerBench, ProfilesEachPrecisionAndAttentionOnce) {
  Tiny tiny;
  tiny.bench.profile = true;
  tiny.run();
  ASSERT_EQ(tiny.tables.size(), 1u);
  EXPECT_NE(tiny.tables.begin()->second.find("conv"), std::string::npos);
}

TEST(SamplerBench, AttentionKernelsAgree) {
  const at::NoGradGuard no_grad;
  const at::Tensor q = at::sin(at::arange(2 * 2 * 40 * 8, at::kFloat)).reshape({2, 2, 40, 8}),
                   k = q.flip(2), v = q.cos();
  std::map<std::string, at::Tensor> out;
  for (const char* backend : {"auto", "math", "flash"}) {
    const AttentionGuard guard(backend);
    out[backend] = at::scaled_dot_product_attention(q, k, v);
  }
  EXPECT_LT((out["math"] - out["flash"]).abs().max().item<double>(), 1e-6);
  EXPECT_LT((out["math"] - out["auto"]).abs().max().item<double>(), 1e-6);
  const AttentionGuard guard("efficient");
  EXPECT_ANY_THROW(at::scaled_dot_product_attention(q, k, v));
}

}  // namespace
}  // namespace lockstep
