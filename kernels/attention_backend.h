// Which kernel LibTorch's scaled_dot_product_attention runs: for measuring, never for training.
//
//   auto       LibTorch's own order
//   math       matrix products and a softmax: memory grows with the square of the positions
//   flash      tiles, without the whole matrix (Dao et al., NeurIPS 2022, arXiv:2205.14135)
//   efficient  the memory-efficient kernel (Rabe and Staats, arXiv:2112.05682); GPUs only
#pragma once

#include <string>
#include <vector>

namespace lockstep {

const std::vector<std::string>& attention_backends();

// "" if `backend` can run on the device type ("cpu", "cuda"), else why not.
std::string why_no_attention(const std::string& backend, const std::string& device);

// While it lives, attention of the whole process uses `backend` or throws c10::Error: nothing else
// steps in silently. One at a time.
class AttentionGuard {
 public:
  // Throws ConfigError for an unknown name.
  explicit AttentionGuard(const std::string& backend);
  ~AttentionGuard();
  AttentionGuard(const AttentionGuard&) = delete;
  AttentionGuard& operator=(const AttentionGuard&) = delete;

 private:
  struct Switches {
    bool flash, efficient, math, cudnn;
  };
  static Switches current();
  static void set(const Switches& switches);
  Switches old_;
};

}  // namespace lockstep
