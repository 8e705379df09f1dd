// The Fletcher-32 checksum as HDF5's filter 3 computes it over a chunk.
//
// Input is read as 16-bit big-endian words w_0 … w_(n−1), an odd last byte as the high byte of a
// word. sum1 = Σ w_i, sum2 = Σ (n−i)·w_i, both modulo 65535 with 65535 standing for every non-zero
// multiple; the checksum is sum2·2^16 + sum1. (Fletcher, "An Arithmetic Checksum for Serial
// Transmissions", IEEE Trans. Comm. 1982; HDF5 File Format Specification 3.0, IV.A.2.l.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace lockstep {

uint32_t fletcher32(const void* data, size_t size);

}  // namespace lockstep
