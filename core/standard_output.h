// What a command printed on standard output must have arrived: a full disk or a reader that left
// makes the exit code 3, not 0.
#pragma once

namespace lockstep {

// At the start of a program: a reader that leaves is an error of the write, not the end by SIGPIPE.
void set_up_standard_output();

// At the end of a program that would exit with `code`: flushes. Returns `code`, or that of
// EnvironmentError with a message on stderr if `code` is 0 and something could not be written. A
// reader that left (`| head`) is told by the exit code alone.
int flush_standard_output(int code);

}  // namespace lockstep
