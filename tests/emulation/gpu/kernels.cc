// Kernels of ours on the emulated GPU: pieces of their stream's work.
#include <algorithm>
#include <map>

#include "tests/emulation/gpu/memory.h"
#include "tests/emulation/gpu/timeline.h"
#include "tests/emulation/machine.h"

namespace emulation {
namespace {

using Before = std::map<const char*, std::vector<char>>;

// What the allocations hold that the pointers lie in.
Before contents_of(const std::vector<const void*>& pointers) {
  Before before;
  for (const void* pointer : pointers)
    if (const Span all = allocation_of(pointer); all.at != nullptr)
      before.try_emplace(all.at, all.at, all.at + all.bytes);
  return before;
}

// From the first byte that changed to the last one.
Span changed_part(const char* at, const std::vector<char>& before) {
  const auto first = std::mismatch(before.begin(), before.end(), at).first - before.begin();
  if (first == static_cast<ptrdiff_t>(before.size())) return {};
  ptrdiff_t end = static_cast<ptrdiff_t>(before.size());
  while (before[static_cast<size_t>(end - 1)] == at[end - 1]) --end;
  return span(at + first, static_cast<size_t>(end - first));
}

}  // namespace

void submit(const Launch& launch) {
  // Evaluations compute there.
  if (launch.stream == nullptr && current_stream() != 0)
    blame("a kernel was started on the default stream, and another one is current");
  submit(reinterpret_cast<StreamId>(launch.stream), "a kernel of ours", [&] {
    Work work{"a kernel of ours", {}, {}, launch.run};
    for (const void* pointer : launch.reads) work.reads.push_back(use_of(pointer));
    for (const void* pointer : launch.writes) work.writes.push_back(use_of(pointer));
    const Before before = contents_of(launch.unknown);
    work.run();
    for (const void* pointer : launch.unknown) work.reads.push_back(use_of(pointer));
    for (const auto& [at, bytes] : before)
      if (const Span changed = changed_part(at, bytes); changed.at != nullptr)
        work.writes.push_back(changed);
    return work;
  });
}

}  // namespace emulation
