// Kernels of ours on the emulated GPU: pieces of their stream's work.
#include "tests/emulation/gpu/memory.h"
#include "tests/emulation/gpu/timeline.h"
#include "tests/emulation/machine.h"

namespace emulation {

void submit(const Launch& launch) {
  // Evaluations compute there.
  if (launch.stream == nullptr && current_stream() != 0) blame("a kernel was started on the default stream, and another one is current");
  Work work{"a kernel of ours", {}, {}, launch.run};
  for (const void* pointer : launch.reads) work.reads.push_back(use_of(pointer));
  for (const void* pointer : launch.writes) work.writes.push_back(use_of(pointer));
  submit(reinterpret_cast<StreamId>(launch.stream), std::move(work));
}

}  // namespace emulation
