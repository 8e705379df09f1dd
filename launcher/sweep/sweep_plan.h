// What the worker says about each point before anything starts: its plan, or what is wrong with it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "launcher/ranks/console.h"
#include "launcher/ranks/launch_plan.h"
#include "launcher/ranks/signal_watch.h"
#include "launcher/sweep/sweep_points.h"

namespace lockstep {

struct PointPlan {
  std::optional<LaunchPlan> plan;
  int code = 0;         // exit code of the worker if it has none
  std::string message;  // its whole message; a place on the command line is one in the sweep's file
  std::string fact;     // its first line, without "error: "
  bool needs_data = false;  // nothing is known to be wrong, but the data must be made first
};

struct SweepPlanOptions {
  int64_t cores_a_point = 1;  // what `launch.threads_per_rank: auto` may use
  int64_t workers = 1;        // plans made at once
  bool make_data = false;     // make missing data, where the config says how
};

// The plans of all points, in their order. Data that several points share are made once, by the
// first that needs them. Returns early, with codes of 75, when `signals` has a request to stop.
std::vector<PointPlan> plan_points(const SweepFile& file, const std::vector<SweepPoint>& points,
                                   const SweepPlanOptions& options, SignalWatch& signals,
                                   Console& console);

// A worker's message about an override, with the override's place in the sweep's file instead of
// "command line".
std::string with_sweep_place(const std::string& message, const SweepPoint& point);

// Processors that this process may use.
int64_t usable_cores();

}  // namespace lockstep
