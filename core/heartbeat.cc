#include "core/heartbeat.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr uint64_t kMagic = 0x54414542504B434Cull;  // "LCKPBEAT" in little-endian bytes
constexpr uint64_t kVersion = 1;

// The file's layout: eight 64-bit little-endian words, the rest zero. `sequence` is odd while the
// writer is inside; a reader that sees it odd or changed reads again (a seqlock).
struct Page {
  std::atomic<uint64_t> magic, version, sequence;
  std::atomic<int64_t> pid, step, resident_bytes;
  std::atomic<uint64_t> phase, seconds;  // seconds: the bits of a double
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && sizeof(Page) == 64);

double monotonic_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// 0 if /proc does not say.
int64_t resident_bytes() {
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return static_cast<int64_t>(pages) * ::sysconf(_SC_PAGESIZE);
}

[[noreturn]] void fail(const std::string& path, int problem) {
  throw EnvironmentError(fmt::format("cannot use the heartbeat page '{}': {}", path,
                                     std::generic_category().message(problem)));
}

void* map_page(const std::string& path, bool create) {
  const int file = ::open(path.c_str(), (create ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0666);
  if (file < 0) fail(path, errno);
  int problem = 0;
  struct stat info{};
  if (create)
    problem = ::posix_fallocate(file, 0, kPageBytes);  // a full disk shows here, not as SIGBUS
  if (problem == 0 && ::fstat(file, &info) != 0) problem = errno;
  if (problem == 0 && info.st_size < static_cast<off_t>(kPageBytes)) problem = ENODATA;
  void* page = MAP_FAILED;
  if (problem == 0) {
    page = ::mmap(nullptr, kPageBytes, create ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
                  file, 0);
    if (page == MAP_FAILED) problem = errno;
  }
  ::close(file);
  if (problem != 0) fail(path, problem);
  return page;
}

}  // namespace

const char* phase_name(Phase phase) {
  static const char* const kNames[] = {"start",      "data",     "compute", "communicate",
                                       "checkpoint", "evaluate", "done"};
  const auto index = static_cast<size_t>(phase);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

HeartbeatPage::HeartbeatPage(const std::filesystem::path& path, bool create)
    : page_(map_page(path.string(), create)), writable_(create) {
  auto* page = static_cast<Page*>(page_);
  if (create) {
    page->version.store(kVersion);
    page->sequence.store(0);
    write(0, Phase::kStart);
    page->magic.store(kMagic, std::memory_order_release);
  }
}

HeartbeatPage::~HeartbeatPage() { ::munmap(page_, kPageBytes); }

void HeartbeatPage::write(int64_t step, Phase phase) {
  if (!writable_) throw InternalError("the supervisor's side of a heartbeat page cannot write");
  constexpr double kResidentEvery = 1.0;  // reading /proc costs more than the stores
  const double now = monotonic_seconds();
  if (now - resident_read_ >= kResidentEvery || resident_read_ == 0) {
    resident_ = resident_bytes();
    resident_read_ = now;
  }
  auto* page = static_cast<Page*>(page_);
  const uint64_t sequence = page->sequence.load(std::memory_order_relaxed);
  page->sequence.store(sequence + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  page->pid.store(::getpid(), std::memory_order_relaxed);
  page->step.store(step, std::memory_order_relaxed);
  page->phase.store(static_cast<uint64_t>(phase), std::memory_order_relaxed);
  page->seconds.store(std::bit_cast<uint64_t>(now), std::memory_order_relaxed);
  page->resident_bytes.store(resident_, std::memory_order_relaxed);
  page->sequence.store(sequence + 2, std::memory_order_release);
}

Heartbeat HeartbeatPage::read() const {
  const auto* page = static_cast<const Page*>(page_);
  Heartbeat beat;
  if (page->magic.load(std::memory_order_acquire) != kMagic || page->version.load() != kVersion)
    return beat;
  // A rank killed inside write() leaves the sequence odd for ever; one that only lost its core
  // there goes on within milliseconds, also on a crowded machine.
  constexpr int kAttempts = 500, kSpins = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (attempt >= kSpins) std::this_thread::sleep_for(std::chrono::microseconds(100));
    const uint64_t before = page->sequence.load(std::memory_order_acquire);
    beat.pid = page->pid.load(std::memory_order_relaxed);
    beat.step = page->step.load(std::memory_order_relaxed);
    beat.phase = static_cast<Phase>(page->phase.load(std::memory_order_relaxed));
    beat.monotonic_seconds = std::bit_cast<double>(page->seconds.load(std::memory_order_relaxed));
    beat.resident_bytes = page->resident_bytes.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 == 0 && page->sequence.load(std::memory_order_relaxed) == before) break;
  }
  return beat;
}

}  // namespace lockstep
