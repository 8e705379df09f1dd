// The `ddp` section of the config.
#pragma once

#include <cstdint>
#include <string>

#include "core/config/run_words.h"

namespace lockstep {

struct DdpOptions {
  std::string backend = "auto";   // which communicator (communicators.h)
  Auto<int64_t> slots;            // shares of the global batch; 0: follow the ranks
  Reduce reduce = Reduce::kAuto;  // auto: tree on CPU, the library's all-reduce on GPUs
  int64_t bucket_megabytes = 25;  // MiB of gradients per exchange
  bool overlap = true;            // exchange while backward goes on
  bool shard_optimizer = false;   // each rank updates its share of the weights (shard_layout.h)
  double timeout_seconds = 600;   // deadline of every exchange

  void fields(FieldVisitor& visit) {
    visit("backend", backend, OneOf{{"auto", "single", "threads", "mpi", "tcp"}},
          "what moves data between ranks");
    visit("slots", slots, Range{0, 65'536},
          "fixed shares of the global batch; 0: slots follow the ranks");
    visit_word(visit, "reduce", reduce, "tree: equal bits on any number of ranks");
    visit("bucket_megabytes", bucket_megabytes, Range{1, 1024}, "MiB of gradients per exchange");
    visit("overlap", overlap, "exchange gradients while backward goes on");
    visit("shard_optimizer", shard_optimizer,
          "each rank keeps and updates its share of the optimizer's state");
    visit("timeout_seconds", timeout_seconds, above(0), "deadline of every exchange between ranks");
  }
};

}  // namespace lockstep
