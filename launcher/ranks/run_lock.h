// The lock of a run folder: one launcher at a time.
//
// mpirun inherits it and outlives its ranks, so a folder is free only when nobody can write into
// it any more, even if the launcher itself was killed.
#pragma once

#include <memory>

#include "core/files.h"
#include "core/run_folder.h"

namespace lockstep {

// Takes RUN/.lock and writes our process id and host into it. If the launcher that took it is
// dead, its ranks are on their way out: waits for them, up to `patience_seconds`. Throws
// LockedError that names the holder.
std::unique_ptr<FileLock> lock_run(const RunFolder& run, double patience_seconds = 20);

// True if someone holds the lock.
bool is_locked(const RunFolder& run);

}  // namespace lockstep
