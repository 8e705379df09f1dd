// Time of the Fréchet distance of two Gaussians (C13), all cores.
//     fid_root_bench A.safetensors B.safetensors [rounds]     prints "SECONDS FID" a round
// The files hold mu, sigma and maybe n; bench/peers/fid_root.py makes them, runs this and the peers
// in turn.
#include <unistd.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <chrono>

#include "core/log.h"
#include "eval/feature_statistics.h"

using namespace lockstep;

int main(int argc, char** argv) {
  if (argc < 3)
    return fmt::print("usage: fid_root_bench A.safetensors B.safetensors [rounds]\n"), 2;
  set_up_log({.level = LogLevel::kError});
  const at::NoGradGuard no_grad;
  const FeatureRecord any{.dimensions = 0};
  const Gaussian a = load_statistics(argv[1], any).gaussian,
                 b = load_statistics(argv[2], any).gaussian;
  if (const char* threads = std::getenv("OMP_NUM_THREADS")) at::set_num_threads(std::atoi(threads));
  for (int i = 0; i < (argc > 3 ? std::atoi(argv[3]) : 1); ++i) {
    const auto start = std::chrono::steady_clock::now();
    const double fid = frechet_distance(a, b);
    fmt::print("{:.4f} {:.12g}\n",
               std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
               fid);
  }
}
