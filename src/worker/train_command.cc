// `train`: one rank of a run.
//
// The launcher writes config.yaml and plan.json and starts `train --run-folder P --attempt N` once
// per rank. Started directly by a foreign mpirun as `train CONFIG …`, rank 0 does the launcher's
// part and tells the others the folder.
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/log.h"
#include "core/stop_flag.h"
#include "ddp/communicators.h"
#include "ddp/slot_threads.h"
#include "train/loop.h"
#include "train/prepare.h"
#include "worker/arguments.h"
#include "worker/commands.h"
#include "worker/compute_environment.h"
#include "worker/rank_files.h"

namespace lockstep {
namespace {

// The rank that the launcher's environment names, for what goes wrong before ranks are connected.
int rank_from_environment() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK"})
    if (const char* text = std::getenv(name)) return std::atoi(text);
  return 0;
}

std::unique_ptr<Communicator> connect(const std::string& backend, double timeout_seconds) {
  CommunicatorSetup setup;
  setup.timeout_seconds = timeout_seconds;
  return make_communicator(choose_backend(backend, [](const char* name) { return std::getenv(name); }), setup);
}

// Keeps the step that a session has reached when an exception leaves it.
struct StepOnExit {
  Session& session;
  int64_t& step;
  ~StepOnExit() { step = session.state().step; }
};

// Trains and reports the outcome. The communicator dies with the session.
int run(const RankPlace& place, std::unique_ptr<Communicator> communicator, bool dry_run, int64_t& step) {
  const std::string plan_file = place.folder.plan().string();
  RunPlan plan = plan_from_json(read_file(plan_file, 64 << 20), plan_file);
  if (communicator->size() != plan.ranks)
    throw ConfigError(fmt::format("{} ranks were started, the plan says {}", communicator->size(), plan.ranks),
                      "start the run with `lockstep train` or `lockstep resume`");
  LoadedConfig loaded = load_config(place.folder.config().string(), {});
  Session session(std::move(loaded), std::move(plan), place, std::move(communicator));
  const StepOnExit note_step{session, step};
  if (session.is_first() && session.state().step == 0)
    for (const std::string& note : session.plan().notes) log_info(note);
  if (session.is_first()) write_status(place, "running", session.state().step, 0);
  const Outcome outcome = train(session);
  if (session.is_first()) {
    if (dry_run) {
      load_checkpoint(place.folder.latest());
      log_info(fmt::format("dry run: {} steps, evaluated, saved, and loaded again", session.state().step));
    }
    const bool stopped = outcome == Outcome::kStopped;
    write_status(place, stopped ? "stopped" : "done", session.state().step, static_cast<int>(stopped ? ExitCode::kStopped : ExitCode::kDone));
  }
  session.communicator().close();
  return 0;
}

// Whatever leaves a rank is written down for the launcher before the peers are taken along.
int run_reporting_errors(const RankPlace& place, std::unique_ptr<Communicator> communicator, bool dry_run) {
  const int rank = communicator->rank();
  int64_t step = 0;
  const auto fail = [&](const Error& error) {
    write_error(place, rank, error, step);
    log_error(error.message().substr(std::string("error: ").size()));  // the log puts it back
    flush_log();
    return static_cast<int>(error.code());
  };
  // Peers learn of it by this process's exit code: mpirun ends the job when a rank exits non-zero.
  try {
    return run(place, std::move(communicator), dry_run, step);
  } catch (const Error& error) {
    return fail(error);
  } catch (const std::bad_alloc&) {
    return fail(EnvironmentError("out of memory", "use a smaller train.micro_batch"));
  } catch (const std::exception& error) {
    return fail(InternalError(error.what(), "this is a defect of lockstep; please report it with `lockstep env`"));
  }
}

// The launcher's part, for ranks that something else started. Rank 0 alone plans and writes.
RankPlace make_place(const Arguments& arguments, Communicator& communicator, bool& dry_run) {
  std::string root;
  const auto dry = arguments.integer("--dry-run");
  dry_run = dry.has_value();
  if (communicator.rank() == 0) {
    std::vector<std::string> overrides = arguments.overrides();
    overrides.push_back("launch.ranks_per_node=" + std::to_string(communicator.size()));
    PrepareOptions options;
    options.make_data = true;
    options.dry_run_steps = dry;
    const Prepared prepared = prepare_run(arguments.one_positional("config"), overrides, options);
    const auto wanted = arguments.value("--run-folder");
    const RunFolder folder = wanted ? RunFolder{*wanted} : RunFolder::make_new(prepared.plan.folder, prepared.plan.name);
    if (folder.holds_run()) throw ConfigError(*wanted + " holds a run already", "go on with it: lockstep resume " + *wanted);
    make_folders(folder.root);
    write_file_atomic(folder.config(), prepared.config_yaml);
    write_file_atomic(folder.plan(), plan_line(prepared, folder.root.string()) + "\n");
    root = folder.root.string();
    std::printf("run folder: %s\n", root.c_str());
  }
  return {RunFolder{all_gather_strings(communicator, root, "name of the run folder").front()}, 0};
}

}  // namespace

int train_command(const Words& words) {
  const Arguments arguments(words, {{"--run-folder", true}, {"--attempt", true}, {"--dry-run", true}});
  install_stop_handlers(/*ignore_interrupt=*/true);
  set_up_compute_thread();
  if (!arguments.positionals().empty()) {
    auto communicator = connect("auto", 600);
    set_up_log({LogLevel::kInfo, communicator->rank(), {}});
    bool dry_run = false;
    const RankPlace place = make_place(arguments, *communicator, dry_run);
    make_folders(place.folder.attempt(place.attempt));
    return run_reporting_errors(place, std::move(communicator), dry_run);
  }
  const RankPlace place{RunFolder{arguments.required("--run-folder", "train")}, static_cast<int>(arguments.integer("--attempt").value_or(0))};
  make_folders(place.folder.attempt(place.attempt));
  std::unique_ptr<Communicator> communicator;
  try {
    const RunPlan plan = plan_from_json(read_file(place.folder.plan(), 64 << 20), place.folder.plan().string());
    communicator = connect(load_config(place.folder.config().string(), {}).config->ddp.backend, plan.timeout_seconds);
  } catch (const Error& error) {
    write_error(place, rank_from_environment(), error, 0);
    throw;
  }
  const int rank = communicator->rank();
  // The launcher sends the stderr of ranks other than 0 into their log files.
  if (rank == 0) set_up_log({LogLevel::kInfo, 0, place.folder.rank_log(place.attempt, 0)});
  else set_up_log({LogLevel::kInfo, -1, {}});
  return run_reporting_errors(place, std::move(communicator), arguments.has("--dry-run"));
}

}  // namespace lockstep
