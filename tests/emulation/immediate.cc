// In the tests of kernels a launch runs at once.
#include "tests/emulation/machine.h"

namespace emulation {

void submit(const Launch& launch) { launch.run(); }

}  // namespace emulation
