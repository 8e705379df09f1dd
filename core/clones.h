// For functions of plain loops over doubles and integers, compiled once for each instruction set;
// the loader takes the machine's best. Only for arithmetic that rounds each operation by itself
// (-ffp-contract=off, no sums across lanes): then all clones give the same bits, whatever
// run.cpu_isa says. Sources that use it are compiled with cmake's LOCKSTEP_LOOP_OPTIONS.
#pragma once

#define LOCKSTEP_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
