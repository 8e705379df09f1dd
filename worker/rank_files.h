// What a rank tells the launcher through the run folder: status.json and rank-R.error.json
// (docs/formats.md).
#pragma once

#include <string>

#include "core/errors.h"
#include "train/session.h"

namespace lockstep {

// `state` is running, done, stopped or failed. Rank 0 only. Throws EnvironmentError.
void write_status(const RankPlace& place, const std::string& state, int64_t step, int exit_code);

// The first error of a rank. Never throws: it is called while something is already wrong.
void write_error(const RankPlace& place, int rank, const Error& error, int64_t step) noexcept;

}  // namespace lockstep
