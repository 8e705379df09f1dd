// `lockstep sweep`: reads the file, asks for the plan of every point, runs them, ranks them.
#include <algorithm>
#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/ranks/run_lock.h"
#include "launcher/ranks/start_command.h"
#include "launcher/sweep/sweep_run.h"

namespace lockstep {
namespace {

constexpr size_t kTableRows = 30;
constexpr double kLockPatience = 120;  // seconds that the points of a killed sweep may take to save

// What the command line sets must not be what the sweep varies.
void refuse_swept_overrides(const SweepFlags& flags, const std::vector<std::string>& keys) {
  for (const std::string& text : flags.overrides) {
    std::string key = text.substr(0, text.find('='));
    while (!key.empty() && (key[0] == '+' || key[0] == '~')) key.erase(0, 1);
    if (std::find(keys.begin(), keys.end(), key) != keys.end())
      throw ConfigError("'" + key + "' is varied by the sweep, and the command line sets it",
                        "take it out of one of them");
    if (key == "run.name" || key == "run.folder")
      throw ConfigError("'" + key + "' is the sweep's to set",
                        "use the sweep's own name and folder, or --folder");
  }
}

// How many cores all points share. Inside a Slurm job steps queue behind each other, so one at a
// time.
int64_t cores_to_share(const Variables& variables) {
  return variables.count("SLURM_JOB_ID") > 0 ? 1 : usable_cores();
}

int64_t points_at_once(const SweepFile& file, const SweepFlags& flags, int64_t cores,
                       size_t points) {
  const int64_t wanted = flags.at_once ? *flags.at_once : file.at_once.value.value_or(cores);
  return std::clamp<int64_t>(wanted, 1, static_cast<int64_t>(std::max<size_t>(points, 1)));
}

void show_wrong(const std::vector<SweepPoint>& points, const std::vector<PointPlan>& plans,
                Console& console) {
  for (size_t i = 0; i < points.size(); ++i) {
    if (plans[i].plan || plans[i].needs_data) continue;
    console.line("point " + points[i].name + " is wrong (exit code " +
                 std::to_string(plans[i].code) + "):\n" + plans[i].message);
  }
}

int print_points(const std::vector<SweepPoint>& points, const std::vector<PointPlan>& plans) {
  int code = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const PointPlan& plan = plans[i];
    std::string what = plan.plan
                           ? fmt::format("{} steps, {} x {} cores", plan.plan->steps,
                                         plan.plan->ranks_per_node, plan.plan->threads_per_rank)
                       : plan.needs_data ? "its data must be made first"
                                         : "WRONG: " + plan.fact;
    std::printf("%4zu  %s  (%s)\n", i + 1, points[i].name.c_str(), what.c_str());
    for (const std::string& text : points[i].overrides) std::printf("        %s\n", text.c_str());
    if (!plan.plan && !plan.needs_data && code == 0) code = plan.code;
  }
  return code;
}

// 0: all done; 75 and 130: stopped; else the code of the first point that failed.
int exit_code_of(const std::vector<SweepPointRun>& points, const SignalWatch& signals) {
  const auto is = [](const char* state) {
    return [state](const SweepPointRun& point) { return point.state == state; };
  };
  const bool all_over = std::none_of(points.begin(), points.end(), is("waiting")) &&
                        std::none_of(points.begin(), points.end(), is("stopped"));
  if (!all_over)
    return static_cast<int>(signals.end_at_once() ? ExitCode::kInterrupted : ExitCode::kStopped);
  for (const SweepPointRun& point : points)
    if (point.state == "failed" || point.state == "wrong") return point.exit_code;
  return 0;
}

void say_how_it_ended(const SweepRunner& runner, const SweepFlags& flags, int code,
                      Console& console) {
  const auto count = [&](const char* state) {
    return std::count_if(runner.points().begin(), runner.points().end(),
                         [&](const SweepPointRun& point) { return point.state == state; });
  };
  const auto failed = count("failed") + count("wrong");
  std::string text = fmt::format("{} of {} points done", count("done"), runner.points().size());
  if (failed > 0) text += fmt::format(", {} failed", failed);
  if (code == static_cast<int>(ExitCode::kStopped) ||
      code == static_cast<int>(ExitCode::kInterrupted))
    text += "; go on: lockstep sweep " + flags.target;
  console.line(text);
  if (failed > 0 && code != static_cast<int>(ExitCode::kStopped))
    console.line("help: mend what failed and run `lockstep sweep " + flags.target +
                 "` again: done points stay, failed ones go on");
}

// A score to rank by that nobody gave is a slip in the file, or an evaluation that the config
// lacks.
void say_what_is_missing(const SweepResults& results, Console& console) {
  std::vector<std::string> known;
  for (const SweepRow& row : results.rows)
    for (const auto& [name, score] : row.scores)
      if (std::find(known.begin(), known.end(), name) == known.end()) known.push_back(name);
  if (known.empty()) return;
  for (const std::string& name : results.rank_by) {
    if (winner(results, name) != nullptr) continue;
    std::string text =
        "warning: no evaluation gave the score '" + name + "' of rank_by; there are:";
    for (const std::string& one : known) text += " " + one;
    console.line(text);
  }
}

struct Prepared {
  SweepFile file;
  std::vector<SweepPoint> points;
  std::vector<PointPlan> plans;
  int64_t cores = 1, at_once = 1;
};

Prepared prepare(const SweepFlags& flags, SignalWatch& signals, Console& console) {
  Prepared out;
  out.file = read_sweep_file(flags.target);
  if (!flags.folder.empty()) out.file.folder = flags.folder;
  size_t repeated = 0;
  out.points = make_points(out.file, flags.overrides, repeated);
  refuse_swept_overrides(flags, swept_keys(out.points));
  if (repeated > 0)
    console.line(fmt::format("note: {} points are there more than once; each runs once", repeated));
  out.cores = cores_to_share(current_variables());
  out.at_once = points_at_once(out.file, flags, out.cores, out.points.size());
  SweepPlanOptions options;
  options.cores_a_point = std::max<int64_t>(1, out.cores / out.at_once);
  options.workers = usable_cores();
  options.make_data = !flags.print;
  console.line(fmt::format("sweep {}: checking {} points", out.file.name, out.points.size()));
  out.plans = plan_points(out.file, out.points, options, signals, console);
  return out;
}

}  // namespace

int sweep_command(const std::vector<std::string>& arguments) {
  const SweepFlags flags = read_sweep_flags(arguments);
  if (is_rank(current_variables()))
    throw ConfigError("sweep starts its points itself, but a launcher made this process a rank",
                      "run `lockstep sweep " + flags.target + "` without mpirun or srun");
  SignalWatch signals;
  Console console;
  Prepared prepared = prepare(flags, signals, console);
  if (signals.stop_requested()) {
    console.line("stopped before any point was started");
    return static_cast<int>(signals.end_at_once() ? ExitCode::kInterrupted : ExitCode::kStopped);
  }
  if (flags.print) return print_points(prepared.points, prepared.plans);
  show_wrong(prepared.points, prepared.plans, console);
  const auto wrong = std::count_if(prepared.plans.begin(), prepared.plans.end(),
                                   [](const PointPlan& plan) { return !plan.plan; });
  if (wrong > 0 && (prepared.file.wrong_points == "stop" ||
                    wrong == static_cast<int64_t>(prepared.plans.size()))) {
    console.line(fmt::format("{} of {} points are wrong; nothing was started", wrong,
                             prepared.plans.size()));
    return std::find_if(prepared.plans.begin(), prepared.plans.end(),
                        [](const PointPlan& plan) { return !plan.plan; })
        ->code;
  }

  const SweepFile& file = prepared.file;
  const RunFolder root{fs::path(file.folder) / file.name};
  if (root.holds_run())
    throw ConfigError(root.root.string() + " is a run itself", "give the sweep another name");
  make_folders(root.root);
  const auto lock = lock_run(root, kLockPatience);
  remove_temporary_files(root.root);
  std::vector<SweepPointRun> runs;
  for (size_t i = 0; i < prepared.points.size(); ++i)
    runs.push_back(look_at_point(prepared.points[i], prepared.plans[i], root.root));
  write_file_atomic(root.root / "sweep.yaml", read_file(flags.target, 1 << 20));
  const auto to_do = std::count_if(runs.begin(), runs.end(),
                                   [](const SweepPointRun& run) { return run.state == "waiting"; });
  console.line(fmt::format("sweep {}: {} points, {} to do, {} at once, folder {}", file.name,
                           runs.size(), to_do, prepared.at_once, root.root.string()));

  SweepRunOptions options{file.name,
                          file.base,
                          swept_keys(prepared.points),
                          file.rank_by,
                          root.root,
                          prepared.at_once,
                          flags.at_once || !file.at_once.is_auto() ? 0 : prepared.cores};
  SweepRunner runner(std::move(options), std::move(runs), signals, console);
  runner.run();
  const SweepResults results = runner.write_results();
  const int code = exit_code_of(runner.points(), signals);
  say_how_it_ended(runner, flags, code, console);
  say_what_is_missing(results, console);
  std::printf("%s", sweep_table(results, kTableRows).c_str());
  std::printf("sweep folder: %s\n", root.root.c_str());
  return code;
}

}  // namespace lockstep
