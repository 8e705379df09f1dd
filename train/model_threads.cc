#include "train/model_threads.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include "ddp/slot_threads.h"
#include "train/precision.h"

namespace lockstep {

void for_each_on_models(const std::vector<Model*>& replicas, Compute compute, int64_t n,
                        const std::function<void(Model& model, int64_t i)>& work) {
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&](Model* model) {
    set_up_compute_thread();
    const at::NoGradGuard no_grad;
    try {
      c10::OptionalDeviceGuard current;  // a thread begins on the first GPU
      if (!model->device().is_cpu()) current.reset_device(model->device());
      for (int64_t i; (i = next.fetch_add(1)) < n;) {
        const AutocastGuard autocast(compute, /*keep_casts=*/true, model->device().type());
        work(*model, i);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = n;
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < replicas.size() && static_cast<int64_t>(i) < n; ++i)
    threads.emplace_back(run, replicas[i]);
  run(replicas.front());
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lockstep
