// How much memory tensors take at most: LibTorch reports each allocation of a CPU tensor to it.
//
// Unlike the process's resident memory this does not count what allocators keep for later, so two
// runs of the same work give the same number.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace lockstep {

class MemoryMeter {
 public:
  MemoryMeter();
  // The most bytes that tensors of watched threads took at one time.
  int64_t peak_bytes() const;

  // Watches the calling thread while it lives. Tensors made earlier must outlive it.
  class Watch {
   public:
    explicit Watch(const MemoryMeter& meter);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    struct Guard;
    std::unique_ptr<Guard> guard_;
  };

 private:
  struct Reporter;
  std::shared_ptr<Reporter> reporter_;
};

}  // namespace lockstep
