#include "tests/emulation/gpu/timeline.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include <c10/util/Exception.h>

#include "tests/emulation/gpu/memory.h"

namespace emulation {
namespace {

struct Delivery {
  StreamId stream;
  int64_t after;
  std::function<void()> deliver;
};

struct Timeline {
  StreamId streams = 1;
  std::map<StreamId, Clock> clocks;
  Clock host;
  std::deque<Delivery> deliveries;
  std::optional<Recording> recording;
  Clock at_begin;  // of the recording: what streams had done
  std::map<StreamId, bool> joined;
  std::thread::id recorder;
  Counts counts;
  int64_t reads_at_replay = -1;

  ~Timeline() { report(); }
  void report() const {
    const char* path = std::getenv("LOCKSTEP_EMULATED_REPORT");
    if (path == nullptr) return;
    const MemoryUse memory = memory_use();
    if (std::FILE* file = std::fopen(path, "a")) {
      std::fprintf(file,
                   "{\"works\": %ld, \"recordings\": %ld, \"replays\": %ld, \"host_reads\": %ld, "
                   "\"host_reads_between_replays\": %ld, \"peak_bytes\": %ld}\n",
                   long(counts.works), long(counts.recordings), long(counts.replays),
                   long(counts.host_reads), long(counts.host_reads_between_replays),
                   long(memory.peak));
      std::fclose(file);
    }
  }
};

Timeline& timeline() {
  static Timeline timeline;
  return timeline;
}

thread_local StreamId current = 0;

void merge(Clock& into, const Clock& from) {
  for (const auto& [stream, done] : from) into[stream] = std::max(into[stream], done);
}

int64_t tick(StreamId stream) {
  Timeline& t = timeline();
  Clock& clock = t.clocks[stream];
  merge(clock, t.host);
  return ++clock[stream];
}

void host_learns(const Clock& clock) {
  Timeline& t = timeline();
  merge(t.host, clock);
  for (auto it = t.deliveries.begin(); it != t.deliveries.end();) {
    if (t.host[it->stream] >= it->after) {
      it->deliver();
      it = t.deliveries.erase(it);
    } else {
      ++it;
    }
  }
}

double host_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void refuse(const std::string& what) {
  TORCH_CHECK(false, "CUDA error: operation not permitted when stream is capturing (", what, ")");
}

// Was it set in the recording that is under way?
bool is_in_recording(const Event& event) {
  const Timeline& t = timeline();
  if (!t.recording || !t.joined.contains(event.stream)) return false;
  const auto begin = t.at_begin.find(event.stream), set = event.clock.find(event.stream);
  return set != event.clock.end() && set->second > (begin == t.at_begin.end() ? 0 : begin->second);
}

}  // namespace

std::recursive_mutex& big_lock() {
  static std::recursive_mutex mutex;
  return mutex;
}

std::atomic<int>& transfers() {
  static std::atomic<int> count{0};
  return count;
}

void blame(const std::string& what) {
  std::fprintf(stderr, "emulated GPU: %s\n", what.c_str());
  std::fflush(stderr);
  std::abort();
}

Counts& counts() { return timeline().counts; }

StreamId make_stream() {
  const std::lock_guard lock(big_lock());
  return timeline().streams++;
}
StreamId current_stream() { return current; }
StreamId set_current_stream(StreamId stream) { return std::exchange(current, stream); }

void record_event(Event& event, StreamId stream) {
  const std::lock_guard lock(big_lock());
  Timeline& t = timeline();
  merge(t.clocks[stream], t.host);
  event.recorded = true;
  event.stream = stream;
  event.clock = t.clocks[stream];
  event.clock[stream];
  event.seconds = host_seconds();
}

void wait_for_event(StreamId stream, const Event& event) {
  const std::lock_guard lock(big_lock());
  if (!event.recorded) return;
  Timeline& t = timeline();
  if (t.recording && t.joined.contains(event.stream)) {
    t.joined[stream] = true;
  } else if (t.recording && t.joined.contains(stream)) {
    // A recorded stream that waits for one outside: CUDA refuses.
    for (const auto& [of, done] : event.clock)
      if (done > t.at_begin[of]) refuse("a wait for a stream outside of the recording");
  }
  merge(t.clocks[stream], event.clock);
}

bool event_reached(const Event& event) {
  std::unique_lock lock(big_lock(), std::try_to_lock);
  for (int tries = 0; !lock.owns_lock(); ++tries) {
    if (transfers() > 0 && tries > 20) return false;  // it may never end
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    static_cast<void>(lock.try_lock());
  }
  if (is_in_recording(event)) refuse("a look at an event of the recording");
  host_learns(event.clock);
  return true;
}

void host_waits_for_event(const Event& event) {
  const std::lock_guard lock(big_lock());
  if (is_in_recording(event) ||
      (is_recording() && timeline().recorder == std::this_thread::get_id()))
    refuse("the host waits for an event");
  host_learns(event.clock);
}

void host_waits_for_all() {
  const std::lock_guard lock(big_lock());
  if (is_recording()) refuse("the host waits for the device");
  Timeline& t = timeline();
  t.counts.host_reads += 1;
  for (const auto& [stream, clock] : std::map<StreamId, Clock>(t.clocks)) host_learns(clock);
}

void submit(StreamId stream, Work work) {
  const std::string what = work.what;
  submit(stream, what, [&] {
    work.run();
    return std::move(work);
  });
}

void submit(StreamId stream, const std::string& what, const std::function<Work()>& run) {
  const std::lock_guard lock(big_lock());
  Timeline& t = timeline();
  t.counts.works += 1;
  if (t.recording && !t.joined.contains(stream)) refuse(what + " on a stream that is not recorded");
  const int64_t now = tick(stream);
  Work work = run();
  check_use(work, stream, t.clocks[stream]);
  mark_use(work, stream, now);
  if (!t.recording) return;
  const auto elsewhere = [](const Span& span) { return !is_device(span.at); };
  std::erase_if(work.reads, elsewhere);
  std::erase_if(work.writes, elsewhere);
  t.recording->works.push_back(std::move(work));
}

void host_reads(const std::string& what, StreamId stream) {
  const std::lock_guard lock(big_lock());
  if (is_recording()) refuse(what + " makes the host wait");
  Timeline& t = timeline();
  t.counts.host_reads += 1;
  merge(t.clocks[stream], t.host);
  host_learns(t.clocks[stream]);
}

void deliver_later(StreamId stream, std::function<void()> deliver) {
  const std::lock_guard lock(big_lock());
  Timeline& t = timeline();
  t.deliveries.push_back({stream, t.clocks[stream][stream], std::move(deliver)});
}

void begin_recording(StreamId stream) {
  const std::lock_guard lock(big_lock());
  Timeline& t = timeline();
  TORCH_CHECK(stream != 0, "CUDA graphs must be captured on a non-default stream");
  TORCH_CHECK(!t.recording, "a recording is under way already");
  t.recording = Recording{.stream = stream};
  t.joined = {{stream, true}};
  t.recorder = std::this_thread::get_id();
  merge(t.clocks[stream], t.host);
  t.at_begin.clear();
  for (const auto& [of, clock] : t.clocks)
    if (const auto own = clock.find(of); own != clock.end()) t.at_begin[of] = own->second;
  keep_memory();
}

bool is_recording() { return timeline().recording.has_value(); }

Recording end_recording() {
  const std::lock_guard lock(big_lock());
  Timeline& t = timeline();
  TORCH_CHECK(t.recording, "no recording is under way");
  Recording done = std::move(*t.recording);
  t.recording.reset();
  restore_memory();
  t.counts.recordings += 1;
  Clock& origin = t.clocks[done.stream];
  for (const auto& [stream, joined] : t.joined)
    TORCH_CHECK(origin[stream] >= t.clocks[stream][stream],
                "CUDA error: capturing stream has unjoined work (stream ", stream, ")");
  return done;
}

void replay(const Recording& recording, StreamId stream) {
  const std::lock_guard lock(big_lock());
  Timeline& t = timeline();
  if (t.recording) refuse("a replay");
  t.counts.replays += 1;
  if (t.reads_at_replay >= 0) {
    const int64_t between = t.counts.host_reads - t.reads_at_replay;
    int64_t& fewest = t.counts.host_reads_between_replays;
    fewest = fewest < 0 ? between : std::min(fewest, between);
  }
  t.reads_at_replay = t.counts.host_reads;
  spoil_free_graph_memory();
  const int64_t now = tick(stream);
  for (const Work& work : recording.works) {
    for (const auto* spans : {&work.reads, &work.writes})
      for (const Span& span : *spans)
        if (!is_device(span.at))
          blame("a graph replays " + work.what + " on memory that was given back");
    check_use(work, stream, t.clocks[stream]);
  }
  for (const Work& work : recording.works) {
    work.run();
    mark_use(work, stream, now);
  }
}

}  // namespace emulation
