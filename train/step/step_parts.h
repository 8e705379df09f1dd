// What steps on the host and on a device have in common.
#pragma once

#include <memory>

#include "data/loader.h"
#include "data/sample_order.h"
#include "ddp/slots.h"
#include "optim/schedules.h"
#include "train/session.h"

namespace lockstep {

// C of design rule 6: backward starts from 1/C, so that sums stay near one.
double backward_constant(const Session& session);

// Reads the micro-batches of `slots`, step by step, from the current step on; one of `sharing`
// loaders that share the rank's data threads. `order` outlives it.
std::unique_ptr<Loader> make_slot_loader(Session& session, const SampleOrder& order,
                                         SlotRange slots, int sharing);

SchedulePosition schedule_position(const Session& session, const SampleOrder& order, int64_t step,
                                   int64_t updates);

// Throws NumericError if too many steps in a row, up to `step`, had no finite gradient. Overflows
// are how a loss scale finds its level: only at its floor do they mean more.
void check_skips(Session& session, int64_t step);

}  // namespace lockstep
