#include "train/step/update_choice.h"

#include <c10/util/Exception.h>

#include "optim/measure_update.h"

namespace lockstep {
namespace {

ImplementationChoice choice_of(const std::string& name, const std::string& text) {
  return {name == implementation_name(Implementation::kForeach) ? Implementation::kForeach
                                                                : Implementation::kFused,
          text, "auto"};
}

// The choice where nothing can be measured.
ImplementationChoice by_rule(const DeviceUpdateSetup& setup, const std::string& why) {
  const FusedKind kind = setup.optimizer->fused_kind();
  ImplementationChoice choice =
      choose_on_device("auto", fused_kind_name(kind), kind != FusedKind::kNone);
  choice.text += "; " + why;
  return choice;
}

ImplementationChoice measured(Session& session, const DeviceUpdateSetup& setup, DeviceQueue& queue,
                              bool in_graph) {
  if (session.state().step > 0) return by_rule(setup, "as the run began");
  try {
    return choose_by_times(fused_kind_name(setup.optimizer->fused_kind()),
                           measure_updates(setup, session.device(), queue, in_graph), in_graph);
  } catch (const c10::OutOfMemoryError&) {
    return by_rule(setup,
                   "not measured: there is no memory for a second copy of weights and states");
  }
}

}  // namespace

std::optional<ImplementationChoice> choose_update(Session& session, const DeviceUpdateSetup& setup,
                                                  DeviceQueue& queue, bool in_graph) {
  if (setup.optimizer->requested() != "auto" || session.device().is_cpu()) return std::nullopt;
  const RunPlan& plan = session.plan();
  if (!plan.update_implementation.empty())
    return choice_of(plan.update_implementation, plan.update_reason + ", kept in plan.json");
  ImplementationChoice choice;
  if (session.is_first()) {
    choice = measured(session, setup, queue, in_graph);
    keep_in_plan(session.place().folder.plan(), implementation_name(choice.implementation),
                 choice.text);
  }
  session.communicator().broadcast(&choice.implementation, sizeof choice.implementation, 0,
                                   "choice of the optimizer's implementation");
  if (!session.is_first()) choice.text = "chosen by rank 0";
  return choice;
}

}  // namespace lockstep
