// Remembers which of LibTorch's operations began last, on any thread. If recording a graph fails,
// that operation prevented it.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

// While it lives, every operation leaves its name. One at a time in a process.
class OperationWatch {
 public:
  OperationWatch();
  ~OperationWatch();
  OperationWatch(const OperationWatch&) = delete;
  OperationWatch& operator=(const OperationWatch&) = delete;
  std::string last() const;  // "aten::item"; "" if there was none

 private:
  uint64_t handle_;
};

}  // namespace lockstep
