// The emulated GPU's memory as LibTorch asks for it.
#pragma once

#include <c10/core/Allocator.h>

namespace emulation {

c10::Allocator* device_allocator();

}  // namespace emulation
