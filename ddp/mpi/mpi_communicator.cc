// The communicator over MPI: non-blocking calls polled against a deadline.
//
// One thread at a time calls MPI; MPI_THREAD_MULTIPLE is asked for because it is not always the
// same one (start and end of a run: the main thread; in between: the communication thread).
// Works with Open MPI 4.1 (tested) and other MPI 3 libraries.
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "core/errors.h"
#include "core/log.h"
#include "ddp/communicator.h"
#include "ddp/mpi/mpi_notes.h"
#include "ddp/mpi/mpi_wait.h"
#include "ddp/mpi_plugin.h"

namespace lockstep {
namespace {

constexpr int kTag = 0;
constexpr size_t kPieceBytes = size_t{256} << 20;  // MPI counts are int: long messages go in pieces
constexpr double kNoteSeconds = 1.0;               // waits longer than this are told to the others

void check(int code, const std::string& what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw CommError(fmt::format("MPI failed at '{}': {}", what, text),
                  "see the logs of the other ranks");
}

void start_mpi() {
  int started = 0;
  MPI_Initialized(&started);
  if (started) throw InternalError("MPI was started twice in one process");
  int provided = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "start of MPI");
  if (provided < MPI_THREAD_SERIALIZED)
    throw EnvironmentError("this MPI library allows calls from the main thread only",
                           "use one built with thread support (MPI_THREAD_MULTIPLE)");
}

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(double timeout_seconds) : timeout_(timeout_seconds) {
    start_mpi();
    check(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "start of MPI");
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
    notes_.emplace(MPI_COMM_WORLD, rank_, size_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::string& name() const override { return name_; }

  void barrier(const std::string& what) override {
    MPI_Request request;
    check(MPI_Ibarrier(comm_, &request), what);
    wait(&request, 1, what);
  }

  void broadcast(void* data, size_t bytes, int root, const std::string& what) override {
    for (size_t at = 0; at < bytes; at += kPieceBytes) {
      MPI_Request request;
      check(MPI_Ibcast(static_cast<char*>(data) + at, piece(bytes - at), MPI_BYTE, root, comm_,
                       &request),
            what);
      wait(&request, 1, what);
    }
  }

  void all_gather(const void* mine, void* all, size_t bytes, const std::string& what) override {
    if (bytes > kPieceBytes)
      throw InternalError(fmt::format("'{}': {} bytes are too many to gather", what, bytes));
    MPI_Request request;
    check(
        MPI_Iallgather(mine, piece(bytes), MPI_BYTE, all, piece(bytes), MPI_BYTE, comm_, &request),
        what);
    wait(&request, 1, what);
  }

  void all_reduce(float* data, size_t count, const std::string& what) override {
    constexpr size_t kPiece = kPieceBytes / sizeof(float);
    for (size_t at = 0; at < count; at += kPiece) {
      MPI_Request request;
      check(MPI_Iallreduce(MPI_IN_PLACE, data + at, static_cast<int>(std::min(kPiece, count - at)),
                           MPI_FLOAT, MPI_SUM, comm_, &request),
            what);
      wait(&request, 1, what);
    }
  }

  void send(int peer, const void* data, size_t bytes, const std::string& what) override {
    exchange(peer, data, bytes, nullptr, 0, what);
  }

  void receive(int peer, void* data, size_t bytes, const std::string& what) override {
    exchange(peer, nullptr, 0, data, bytes, what);
  }

  // All pieces of both directions at once.
  void exchange(int peer, const void* out, size_t out_bytes, void* in, size_t in_bytes,
                const std::string& what) override {
    std::vector<MPI_Request> requests;
    for (size_t at = 0; at < in_bytes; at += kPieceBytes)
      check(MPI_Irecv(static_cast<char*>(in) + at, piece(in_bytes - at), MPI_BYTE, peer, kTag,
                      comm_, &requests.emplace_back()),
            what);
    for (size_t at = 0; at < out_bytes; at += kPieceBytes)
      check(MPI_Isend(static_cast<const char*>(out) + at, piece(out_bytes - at), MPI_BYTE, peer,
                      kTag, comm_, &requests.emplace_back()),
            what);
    wait(requests.data(), static_cast<int>(requests.size()), what);
  }

  void limit_waits(double seconds) override { timeout_ = std::min(timeout_, seconds); }
  void cancel() noexcept override { cancelled_ = true; }

  void abort(int code) noexcept override {
    flush_log();
    MPI_Abort(MPI_COMM_WORLD, code);
  }

  void close() override {
    barrier("end of the run");
    notes_->close();
    MPI_Comm_free(&comm_);
    MPI_Finalize();
  }

 private:
  static int piece(size_t bytes) { return static_cast<int>(std::min(bytes, kPieceBytes)); }

  void wait(MPI_Request* requests, int count, const std::string& what) {
    MpiWait wait;
    bool told = false;
    for (;;) {
      int done = 0;
      check(MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE), what);
      if (done) break;
      if (cancelled_) throw CommError(fmt::format("'{}' was cancelled on rank {}", what, rank_));
      const double waited = wait.seconds();
      if (!told && waited > std::min(kNoteSeconds, timeout_ / 4)) {
        notes_->tell(what);
        told = true;
      }
      if (waited > timeout_) {
        const std::vector<int> late = notes_->silent();
        throw late_error(what, rank_, timeout_, late, notes_->elsewhere());
      }
      wait.pause();
    }
    if (told) notes_->tell("");
  }

  double timeout_;
  const std::string name_ = "mpi";
  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  std::optional<MpiNotes> notes_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace
}  // namespace lockstep

extern "C" __attribute__((visibility("default"))) lockstep::Communicator* lockstep_mpi_make(
    int abi, double timeout_seconds) {
  if (abi != lockstep::kMpiPluginAbi) return nullptr;
  return new lockstep::MpiCommunicator(timeout_seconds);
}
