// status.json: where a run stands, for `lockstep runs`, for scripts and for the supervisor.
//
// Rank 0 writes it while it trains; the launcher has the last word when an attempt ended.
#pragma once

#include <cstdint>
#include <string>

#include "core/run_folder.h"

namespace lockstep {

struct RunStatus {
  std::string state = "starting";  // starting | running | done | stopped | failed
  int64_t step = 0;
  int exit_code = 0;
  int attempt = 0;
  std::string checkpoint;  // "step-00000300", "" if there is none yet
};

// Defaults if the file is missing or damaged.
RunStatus read_status(const RunFolder& run);
void write_status(const RunFolder& run, const RunStatus& status);

// Name of the newest complete checkpoint ("step-00000300"), "" if there is none.
std::string newest_checkpoint(const RunFolder& run);

}  // namespace lockstep
