// CPU seconds that the host spends on a step's inputs of an image run on a GPU: reading pictures,
// mirroring, drawing noise and times, and the copy into pinned memory (train/step/input_feeder.h,
// train/step/input_buffers.h). All but the copy runs on threads of its own, four steps ahead.
//
//   build/bin/image_inputs_bench --shard datasets/cifar10/train-00000.h5
//                                [--batch 128] [--rounds 20] [--immiscible] [--dropout]
//
// A step's pictures are scattered over the shard, as the sample order has them. One thread; one
// line of JSON. A loader keeps up with a GPU whose step takes longer than "inputs" divided by the
// threads that make them, and than "copy".
#include <cstdio>

#include <ATen/ATen.h>

#include "bench/serve.h"
#include "data/datasets.h"
#include "data/sample_order.h"
#include "models/unet/unet.h"
#include "tasks/images/image_diffusion_task.h"
#include "train/step/input_buffers.h"

using namespace lockstep;

namespace {

std::unique_ptr<Task> task_of(int64_t size, int64_t channels, const BenchFlags& flags) {
  ImageDiffusionOptions options;
  options.image_size = size;
  options.diffusion.immiscible = flags.has("immiscible");
  auto unet = std::make_shared<OptionsOf<UnetOptions>>();
  unet->value.dim = 8;  // what the network is like does not matter here
  unet->value.channels = channels;
  unet->value.dropout = flags.has("dropout") ? 0.1 : 0;
  options.model.options = unet;
  return make_image_diffusion_task(options);
}

int run(const BenchFlags& flags) {
  const auto data = open_dataset("images", {flags.text("shard")});
  const std::vector<int64_t>& shape = data->arrays().front().shape;
  const auto task = task_of(shape[1], shape[0], flags);
  const int64_t batch = flags.number("batch", 128), rounds = flags.number("rounds", 20);
  const SampleOrder order(data->size(), 17);
  const auto device = make_cpu_device();
  const auto queue = device->make_queue();
  InputBuffers buffers(*device, *queue);
  double reading = 0, inputs = 0, copy = 0;
  for (int64_t step = -1; step < rounds; ++step) {  // step -1 is not counted
    std::vector<int64_t> ids;
    for (int64_t j = 0; j < batch; ++j) ids.push_back(order.id((step + 1) * batch + j));
    const double begin = cpu_seconds();
    const Batch read = data->read(ids);
    const double had = cpu_seconds();
    const std::vector<LossInputs> made = {task->loss_inputs(read, {17, step + 1, 8})};
    const double drawn = cpu_seconds();
    buffers.bring(InputLayout::of(made), made);
    if (step < 0) continue;
    reading += had - begin;
    inputs += drawn - had;
    copy += cpu_seconds() - drawn;
  }
  const auto each = [&](double seconds) { return seconds / static_cast<double>(rounds); };
  std::printf(
      "{\"batch\": %ld, \"reading\": %.6f, \"drawing\": %.6f, \"inputs\": %.6f, \"copy\": %.6f}\n",
      static_cast<long>(batch), each(reading), each(inputs), each(reading + inputs), each(copy));
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bench_main(argc, argv, run); }
