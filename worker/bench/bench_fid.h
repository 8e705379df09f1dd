// FID of the pictures that a row of `bench sampler` draws: the evaluation `fid` of training, on one
// process.
#pragma once

#include <memory>

#include "tasks/images/image_fid.h"
#include "train/trained_model.h"
#include "worker/arguments.h"
#include "worker/bench/sampler_bench.h"

namespace lockstep {

// --inception, --features, --fid-images, --fid-reference.
const std::vector<Flag>& bench_fid_flags();

// Empty without --inception. `trained`, `images` and `replicas` outlive what is returned. Throws
// ConfigError for flags that do not fit together, DataError for files that do not.
SamplerBench::Score bench_fid(const Arguments& arguments, const TrainedModel& trained,
                              std::shared_ptr<const ImageDiffusion> images,
                              std::vector<Model*> replicas);

}  // namespace lockstep
