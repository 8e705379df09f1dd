// The style sheet of every page: one set of colours for light, one for dark.
#pragma once

namespace lockstep {
extern const char* const kPageStyle;
}  // namespace lockstep
