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
}

void give_back_freed_memory() { malloc_trim(0); }

}  // namespace lockstep
