// Long work of unequal length on all ranks, without a deadline for those who finish first.
//
// Every exchange of a Communicator has a deadline, which finds ranks that hang; but while rank 0
// takes a matrix root the others have nothing to exchange and are not late. So each rank works on a
// thread of its own, and the calling threads meet a few times a second to say how far they are. A
// rank that dies is missed at the next meeting; one whose work hangs is found by the supervisor,
// since nobody writes its heartbeat.
#pragma once

#include <atomic>
#include <functional>

#include "ddp/communicator.h"

namespace lockstep {

struct InTouch {
  // Called on the calling thread at each meeting; `busy`: this rank's own work is not done yet.
  std::function<void(bool busy)> turn;
  // Asked on the calling thread: true if the work is to be given up, on all ranks.
  std::function<bool()> stop;
};

// What work throws to leave early when `give_up` is set.
struct GivenUp {};

// Collective. Runs `work(give_up)` on a thread of its own, set up as a compute thread without
// gradients. True when all ranks are done; false, on all of them, if `stop` said so on one: then
// `give_up` was set and work has returned, done or not. Rethrows what work throws.
bool keep_in_touch(Communicator& communicator, const InTouch& talk,
                   const std::function<void(const std::atomic<bool>& give_up)>& work);

}  // namespace lockstep
