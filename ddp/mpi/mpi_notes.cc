#include "ddp/mpi/mpi_notes.h"

#include <fmt/format.h>

#include <cstring>

namespace lockstep {

namespace {
constexpr int kTag = 1;
}

MpiNotes::MpiNotes(MPI_Comm world, int rank, int size)
    : rank_(rank), size_(size), waits_for_(size) {
  MPI_Comm_dup(world, &comm_);
}

void MpiNotes::close() { MPI_Comm_free(&comm_); }

void MpiNotes::forget_delivered() {
  std::erase_if(sent_, [](std::unique_ptr<Sent>& sent) {
    int done = 0;
    MPI_Test(&sent->request, &done, MPI_STATUS_IGNORE);
    return done != 0;
  });
}

void MpiNotes::tell(const std::string& waits_for) {
  forget_delivered();
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    auto sent = std::make_unique<Sent>();
    std::memset(&sent->note, 0, sizeof(Note));
    std::strncpy(sent->note.waits_for, waits_for.c_str(), sizeof(sent->note.waits_for) - 1);
    MPI_Isend(&sent->note, sizeof(Note), MPI_BYTE, peer, kTag, comm_, &sent->request);
    sent_.push_back(std::move(sent));
  }
}

std::vector<int> MpiNotes::silent() {
  for (;;) {
    int arrived = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, kTag, comm_, &arrived, &status);
    if (!arrived) break;
    Note note{};
    MPI_Recv(&note, sizeof(Note), MPI_BYTE, status.MPI_SOURCE, kTag, comm_, MPI_STATUS_IGNORE);
    note.waits_for[sizeof(note.waits_for) - 1] = '\0';
    waits_for_[status.MPI_SOURCE] = note.waits_for;
  }
  std::vector<int> ranks;
  for (int r = 0; r < size_; ++r)
    if (r != rank_ && waits_for_[r].empty()) ranks.push_back(r);
  return ranks;
}

std::string MpiNotes::elsewhere() const {
  std::string text;
  for (int r = 0; r < size_; ++r)
    if (r != rank_ && !waits_for_[r].empty())
      text += fmt::format("{}rank {} at '{}'", text.empty() ? "" : ", ", r, waits_for_[r]);
  return text;
}

}  // namespace lockstep
