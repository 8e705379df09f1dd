// The request to stop: set by a signal handler, read by the training loop, which agrees on a
// step with the other ranks (design.md 3.14) and saves.
#pragma once

namespace lockstep {

// Installs handlers for SIGTERM, SIGUSR1 and SIGINT that only set the flag. A second SIGINT
// ends the process at once with exit code 130. Workers under mpirun ignore SIGINT if
// `ignore_interrupt` (the supervisor alone reacts to Ctrl-C).
void install_stop_handlers(bool ignore_interrupt);
bool stop_requested();

}  // namespace lockstep
