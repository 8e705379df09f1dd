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
  // Bytes of tensors made by watched threads that lived at once, at most.
  int64_t peak_bytes() const;

  // The calling thread is watched while it lives. Tensors made before may not die inside.
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
