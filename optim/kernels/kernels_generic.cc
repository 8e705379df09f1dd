// The optimizer's kernels for one instruction set (flags: optim/CMakeLists.txt).
#include "optim/kernels/kernels_impl.h"

namespace lockstep::cpu {

const OptimizerKernels kGenericKernels{"generic", &adam, &sgd, &ema, &sum_of_squares};

}  // namespace lockstep::cpu
