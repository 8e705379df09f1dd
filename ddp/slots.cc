#include "ddp/slots.h"

#include <fmt/format.h>

#include <bit>

#include "core/errors.h"

namespace lockstep {

SlotRange slots_of_rank(int64_t slots, int64_t ranks, int64_t rank) {
  return {rank * slots / ranks, (rank + 1) * slots / ranks};
}

// The largest r with ⌊rS/n⌋ ≤ slot, that is r < (slot + 1)·n/S.
int64_t owner_of_slot(int64_t slots, int64_t ranks, int64_t slot) {
  return ((slot + 1) * ranks - 1) / slots;
}

int64_t tree_split(int64_t lo, int64_t hi) {
  return lo + static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(hi - lo - 1)));
}

bool is_power_of_two(int64_t n) { return n > 0 && std::has_single_bit(static_cast<uint64_t>(n)); }

int64_t choose_slots(const Auto<int64_t>& option, const SlotInputs& inputs) {
  int64_t slots = 0;
  if (!option.is_auto()) {
    slots = *option == 0 ? inputs.ranks : *option;
  } else if (inputs.cpu) {
    slots = 8;
    while (inputs.global_batch % slots != 0) slots /= 2;
  } else {
    slots = inputs.ranks * inputs.micro_batches;
  }
  if (slots < 1 || inputs.global_batch % slots != 0)
    throw ConfigError(fmt::format("train.global_batch {} cannot be cut into {} slots",
                                  inputs.global_batch, slots),
                      "choose a global batch that is a multiple of `ddp.slots`");
  if (slots < inputs.ranks)
    throw ConfigError(
        fmt::format("{} ranks for {} slots: {} would have nothing to do", inputs.ranks, slots,
                    inputs.ranks - slots),
        fmt::format(
            "start at most {} ranks, or set ddp.slots to a multiple of the ranks before the "
            "run starts",
            slots));
  return slots;
}

}  // namespace lockstep
