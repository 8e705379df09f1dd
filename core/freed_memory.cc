#include "core/freed_memory.h"

#include <malloc.h>

#include <cstdlib>
#include <initializer_list>

namespace lockstep {

void keep_freed_memory() {
  for (const char* name :
       {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES"})
    if (std::getenv(name) != nullptr) return;
  mallopt(M_MMAP_THRESHOLD,
          32 << 20);  // the most that glibc takes; larger blocks are pages of their own
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
  // glibc 2.36 cuts two small pieces off each aligned block, as tensors are. Its fast lists keep
  // pieces of up to 128 bytes apart until somebody asks for 1,024 bytes, which a loader's thread
  // never does: 4.6 kB were lost a step. Without these lists freed neighbours join at once. Each
  // thread's own cache stays, so small blocks are as fast as before.
  mallopt(M_MXFAST, 0);
}

void give_back_freed_memory() { malloc_trim(0); }

}  // namespace lockstep
