// Small drawings out of characters.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

// ▁▂▃▄▅▆▇█, one character a bucket of values, at most `width`; a gap where a bucket holds no
// finite value. All equal: the middle.
std::string sparkline(const std::vector<double>& values, size_t width);

}  // namespace lockstep
