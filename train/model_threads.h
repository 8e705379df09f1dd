// Independent pieces of work on one thread per replica of a model.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/config/run_words.h"
#include "models/model.h"

namespace lockstep {

// Runs work(model, i) for i in [0, n) on one thread per replica (the caller's is one of them), with
// one intra-op thread each, gradients off and autocast as `compute` (precision.compute) says. Any
// thread may get any i, so a piece's numbers must not depend on the thread. After an exception no
// further piece begins; it is rethrown when all threads have ended.
void for_each_on_models(const std::vector<Model*>& replicas, Compute compute, int64_t n,
                        const std::function<void(Model& model, int64_t i)>& work);

}  // namespace lockstep
