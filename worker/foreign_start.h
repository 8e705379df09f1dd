// Ranks that something other than our supervisor started: torchrun, a cluster, the user's own
// mpirun. Rank 0 does the launcher's part (plan, data, run folder, lock) and tells the others.
#pragma once

#include <memory>
#include <string>

#include "core/files.h"
#include "ddp/communicator.h"
#include "train/session.h"
#include "worker/arguments.h"

namespace lockstep {

// What a rank needs to train.
struct JoinedRun {
  RankPlace place;
  std::unique_ptr<FileLock> lock;  // of the run folder; rank 0 holds it
};

// What a rank must know before rank 0 has checked the config: from the config, or defaults if it is
// broken (rank 0 will say so).
struct ExchangeOptions {
  std::string backend = "auto";
  double timeout_seconds = 600;
  std::string isa = "native";  // run.cpu_isa
};
ExchangeOptions look_at_exchange(const Arguments& arguments);

// Collective, for `train CONFIG` and `train --resume RUN`. Rank 0 makes or takes up the run folder:
// a later attempt of torchrun (--max-restarts) goes on with the folder of the earlier one. Rank 0's
// error is thrown on all ranks, with its exit code.
JoinedRun join_run(const Arguments& arguments, Communicator& communicator);

// Collective, for ranks of our supervisor whose peers on other nodes came by join_run.
void tell_place(const RankPlace& place, Communicator& communicator);

// By rank 0 at the end, what the launcher does otherwise: status.json, error.json, the report.
void close_run(const RankPlace& place, int code, const Error* error, int64_t step) noexcept;

}  // namespace lockstep
