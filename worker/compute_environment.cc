#include "worker/compute_environment.h"

#include <cstdlib>
#include <cstring>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/freed_memory.h"
#include "kernels/kernel_isa.h"
#include "train/open_device.h"

namespace lockstep {
namespace {

// The value behind `key` in the words of the command line, or "".
std::string word_after(int argc, char** argv, const std::string& key) {
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == key && i + 1 < argc) return argv[i + 1];
    if (word.starts_with(key + "=")) return word.substr(key.size() + 1);
  }
  return "";
}

// Which device the command's words ask for; "cpu" for commands that never use another.
std::string device_word(int argc, char** argv, const nlohmann::json& plan) {
  const std::string command = argc > 1 ? argv[1] : "";
  // forward and optimize compare numbers: they use a GPU only if the words say so.
  if (command == "forward" || command == "optimize")
    return word_after(argc, argv, "run.device") == "cuda" ? "cuda" : "cpu";
  if (command == "fid" || command == "bench") {
    const std::string flag = word_after(argc, argv, "--device");
    if (command == "fid" || !flag.empty()) return flag == "cpu" || flag == "cuda" ? flag : "auto";
  } else if (command != "train" && command != "sample" && command != "evaluate") {
    return "cpu";
  }
  if (plan.is_object()) return plan.value("device", "cpu");  // a rank that our launcher started
  const std::string word = word_after(argc, argv, "run.device");
  return word.empty() ? "auto" : word;
}

}  // namespace

void pin_isa(const std::string& isa) {
  if (isa != "avx2") return;
  setenv("ATEN_CPU_CAPABILITY", "avx2", 1);
  setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
  setenv("MKL_ENABLE_INSTRUCTIONS", "AVX2", 1);
  set_kernel_isa("avx2");
}

void set_up_compute_environment(int argc, char** argv) {
  keep_freed_memory();
  setenv("OMP_NUM_THREADS", "1", 1);
  setenv("MKL_NUM_THREADS", "1", 1);
  setenv("KINETO_LOG_LEVEL", "5", 0);  // the profiler complains on machines without a GPU
  std::string isa = word_after(argc, argv, "run.cpu_isa");
  const std::string folder = word_after(argc, argv, "--run-folder");
  nlohmann::json plan;
  if (!folder.empty() && fs::exists(fs::path(folder) / "plan.json")) {
    plan =
        nlohmann::json::parse(read_file(fs::path(folder) / "plan.json", 16 << 20), nullptr, false);
    if (plan.is_object()) isa = plan.value("isa", isa);
  }
  pin_isa(isa);
  // Before any call into LibTorch. What is no device the config's reader refuses, with its place.
  const std::string word = device_word(argc, argv, plan);
  const bool known = word == "auto" || word == "cuda";
  open_cuda_for(known ? value_of<DeviceKind>(word) : DeviceKind::kCpu);
  at::set_num_threads(1);
}

}  // namespace lockstep
