// Paths as people type them.
#pragma once

#include <string>

namespace lockstep {

// `text` with a leading `~` or `~/` as the home folder. A shell does this for a word of its own,
// but not behind `key=` or in a config. Variables (`$HOME`, `${oc.env:HOME}`) and other users'
// homes
// (`~ann/x`) are not expanded: they are a ConfigError that says what to write instead, because
// a folder of that very name would be made otherwise. A path that exists as written is taken as it
// is.
std::string user_path(const std::string& text);

}  // namespace lockstep
