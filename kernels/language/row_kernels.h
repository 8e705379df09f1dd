// The language model's CPU kernels on lanes (rms_norm, swiglu, rotary, cross_entropy), one table
// for each instruction set; lockstep::cpu calls the one that kernel_isa() names. One source:
// row_kernels_impl.h.
//
// One thread: a slot computes on one (design.md 3, rule 5). No torch here.
#pragma once

#include "kernels/language/cross_entropy_kernel.h"
#include "kernels/language/rms_norm_kernel.h"
#include "kernels/language/rotary_kernel.h"
#include "kernels/language/swiglu_kernel.h"

namespace lockstep {

struct RowKernels {
  const char* isa;
  decltype(&cpu::swiglu_forward) swiglu_forward;
  decltype(&cpu::swiglu_backward) swiglu_backward;
  decltype(&cpu::rms_norm_forward) rms_norm_forward;
  decltype(&cpu::rms_norm_backward) rms_norm_backward;
  decltype(&cpu::rotary_forward) rotary_forward;
  decltype(&cpu::rotary_backward) rotary_backward;
  decltype(&cpu::cross_entropy_forward) cross_entropy_forward;
  decltype(&cpu::cross_entropy_backward) cross_entropy_backward;
};

const RowKernels& row_kernels_generic();
const RowKernels& row_kernels_avx2();
const RowKernels& row_kernels_avx512();

}  // namespace lockstep
