// Notes between ranks that wait long, so that a passed deadline can name the rank that is late
// and not merely the one that was asked.
//
// A rank that has waited for a second tells all others what it waits for, and takes it back when
// the wait ends. Whoever has not said that it waits when a deadline passes is the late one.
// Notes travel on a communicator of their own and are read only while waiting.
#pragma once

#include <mpi.h>

#include <memory>
#include <string>
#include <vector>

namespace lockstep {

class MpiNotes {
 public:
  MpiNotes(MPI_Comm world, int rank, int size);
  void close();  // collective

  // Tells the others; the empty string takes the note back.
  void tell(const std::string& waits_for);
  // Reads what has arrived. Ranks other than this one that have not said that they wait.
  std::vector<int> silent();
  // "rank 1 at 'x', rank 2 at 'y'", as of the last silent().
  std::string elsewhere() const;

 private:
  struct Note {
    char waits_for[160];
  };
  struct Sent {
    Note note;
    MPI_Request request;
  };
  void forget_delivered();

  MPI_Comm comm_;
  const int rank_, size_;
  std::vector<std::string> waits_for_;       // per rank, "" if it works
  std::vector<std::unique_ptr<Sent>> sent_;  // alive until delivered
};

}  // namespace lockstep
