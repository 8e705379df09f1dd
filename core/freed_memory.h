// What the C library does with freed memory.
#pragma once

namespace lockstep {

// Keeps freed memory in the process instead of giving it back to the system after every large
// tensor: a network pass that frees and takes the same megabytes again would have each page cleared
// again (12,000 page faults a pass of the image UNet at 8 pictures of 32 x 32). The process holds
// what it needed at most. Freed neighbours join at once, so that memory does not grow with the
// number of steps (bench/memory_steps.py). Does nothing if the user has set MALLOC_ variables.
// Called at the start of programs, before threads.
void keep_freed_memory();

// Gives the pages of free memory back to the system, those in the middle of the heap too. For long
// loops that keep small things among large ones that come and go: each may lie in a hole that the
// next large one then does not fit.
void give_back_freed_memory();

}  // namespace lockstep
