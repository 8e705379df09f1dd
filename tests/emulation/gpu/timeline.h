// When things happen on the emulated GPU: streams, events, what is recorded instead of done, and
// who may touch which memory when.
//
// Work is done at once, in the order of the calls. What a real GPU would do later or at the same
// time is checked instead: every stream, event and the host carry a vector clock (Mattern, "Virtual
// time and global states of distributed systems", 1989), and memory that one stream uses without
// having waited for another ends the program, as do results that the host reads too early: they are
// filled with NaN until it has waited.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace emulation {

using StreamId = int64_t;                   // 0: the default stream
using Clock = std::map<StreamId, int64_t>;  // how much of each stream's work has ended

struct Event {
  bool recorded = false;  // else waiting for it is waiting for nothing
  StreamId stream = 0;
  Clock clock;
  double seconds = 0;  // of the host, when it was set
};

struct Span {
  const char* at = nullptr;
  size_t bytes = 0;
};
inline Span span(const void* at, size_t bytes) { return {static_cast<const char*>(at), bytes}; }

// Part of a stream's work. Spans of host memory are ignored.
struct Work {
  std::string what;
  std::vector<Span> reads, writes;
  std::function<void()> run;  // for a replay: again
};

// What a recording holds: work in order, and the memory that is free between two replays.
struct Recording {
  StreamId stream = 0;
  std::vector<Work> works;
};

StreamId make_stream();
// Of the calling thread.
StreamId current_stream();
StreamId set_current_stream(StreamId stream);

void record_event(Event& event, StreamId stream);
void wait_for_event(StreamId stream, const Event& event);
bool event_reached(const Event& event);
void host_waits_for_event(const Event& event);
void host_waits_for_all();

// Does `work`, or keeps it if a recording is under way; then it is done too (callers need results
// to go on with), and all memory is as before when the recording ends. Throws c10::Error where CUDA
// refuses to record.
void submit(StreamId stream, Work work);
// The same for work whose memory is known only when it is done: `run` does it and then describes
// it.
void submit(StreamId stream, const std::string& what, const std::function<Work()>& run);
// Something that makes the host wait, in the middle of an operation. Throws while recording.
void host_reads(const std::string& what, StreamId stream);
// The host will see what `deliver` brings once it has waited for the work submitted so far.
void deliver_later(StreamId stream, std::function<void()> deliver);

// Of the calling thread alone: others may wait for events that are not in it
// (cudaStreamCaptureModeThreadLocal).
void begin_recording(StreamId stream);
bool is_recording();
Recording end_recording();
void replay(const Recording& recording, StreamId stream);

// All of the emulated GPU happens under it.
std::recursive_mutex& big_lock();
// How many pieces of work wait for another process now.
std::atomic<int>& transfers();
// A mistake that a real GPU would not report: says so and ends the program.
[[noreturn]] void blame(const std::string& what);

// Told at the end to the file that LOCKSTEP_EMULATED_REPORT names, as JSON.
struct Counts {
  int64_t works = 0, recordings = 0, replays = 0, host_reads = 0;
  int64_t host_reads_between_replays = -1;  // the fewest; -1: fewer than two replays
};
Counts& counts();

}  // namespace emulation
