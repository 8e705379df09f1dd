// Memory of the emulated GPU: host memory, filled with NaN, whose use by streams is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/emulation/gpu/timeline.h"

namespace emulation {

struct MemoryUse {
  int64_t total = 0, current = 0, peak = 0;  // bytes
};
// `total` is 1 GiB or LOCKSTEP_EMULATED_MEMORY (bytes).
MemoryUse memory_use();
void forget_peak();  // the peak counts from now on

// Throws c10::OutOfMemoryError. Belongs to `stream`: given back while another one still uses it,
// the program ends.
void* allocate_device(size_t bytes, StreamId stream);
void free_device(void* pointer);
bool is_device(const void* pointer);
// What a kernel uses that got this pointer: all of an allocation that begins there, else only what
// it points at.
Span use_of(const void* pointer);
// The whole allocation; nothing for other pointers.
Span allocation_of(const void* pointer);
void set_device(int index);
int device_index();
int device_count();  // 1 or LOCKSTEP_EMULATED_GPUS

void* allocate_pinned(size_t bytes);
void free_pinned(void* pointer);
bool is_pinned(const void* pointer);

// For the timeline, under its lock.
void check_use(const Work& work, StreamId stream, const Clock& known);
void mark_use(const Work& work, StreamId stream, int64_t now);
void keep_memory();              // before a recording
void restore_memory();           // after it: contents and marks
void spoil_free_graph_memory();  // fills what no tensor holds any more with NaN

}  // namespace emulation
