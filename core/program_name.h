// How the person called the program, so that a printed command can be pasted: `lockstep` from the
// PATH, `scripts/lockstep` from a checkout, a full path of a test.
#pragma once

#include <string>

namespace lockstep {

// At the start of the program `lockstep`: `called` is argv[0]. Kept in the environment
// (LOCKSTEP_CALLED_AS), so that programs it starts print the same.
void set_program_name(const std::string& called);

// "lockstep" if nobody said otherwise; quoted where a shell would need it.
std::string program_name();

// `text` with "lockstep COMMAND" of each printed command as the person would type it. For what goes
// to people's eyes: not for files, where a name that holds on this machine alone is worth nothing.
std::string with_program_name(const std::string& text);

// A word as a shell takes it: unchanged if it is plain, else in single quotes.
std::string shell_quoted(const std::string& word);

}  // namespace lockstep
