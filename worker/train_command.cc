// `train`: one rank of a run.
//
// The launcher writes config.yaml and plan.json and starts `train --run-folder P --attempt N` once
// per rank. Started by torchrun, a cluster or a foreign mpirun as `train CONFIG …` (or `train
// --resume RUN`), rank 0 does the launcher's part (foreign_start.h).
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/log.h"
#include "core/rank_environment.h"
#include "core/stop_flag.h"
#include "ddp/communicators.h"
#include "ddp/slot_threads.h"
#include "train/loop.h"
#include "train/open_device.h"
#include "worker/arguments.h"
#include "worker/commands.h"
#include "worker/compute_environment.h"
#include "worker/foreign_start.h"
#include "worker/rank_files.h"

namespace lockstep {
namespace {

std::unique_ptr<Communicator> connect(const std::string& backend, double timeout_seconds) {
  CommunicatorSetup setup;
  setup.timeout_seconds = timeout_seconds;
  return make_communicator(
      choose_backend(backend, [](const char* name) { return std::getenv(name); }), setup);
}

// Keeps the step that a session has reached when an exception leaves it.
struct StepOnExit {
  Session& session;
  int64_t& step;
  ~StepOnExit() { step = session.state().step; }
};

// Trains and writes down the outcome. The communicator dies with the session.
Outcome run(const RankPlace& place, std::unique_ptr<Communicator> communicator, bool dry_run,
            int64_t& step) {
  const std::string plan_file = place.folder.plan().string();
  RunPlan plan = plan_from_json(read_file(plan_file, 64 << 20), plan_file);
  if (communicator->size() != plan.ranks)
    throw ConfigError(
        fmt::format("{} ranks were started, the plan says {}", communicator->size(), plan.ranks),
        "start the run with `lockstep train` or `lockstep resume`");
  LoadedConfig loaded = load_config(place.folder.config().string(), {});
  std::unique_ptr<Device> device = device_of_process(plan.device, loaded.config->precision.tf32);
  Session session(std::move(loaded), std::move(plan), place, std::move(communicator),
                  std::move(device));
  const StepOnExit note_step{session, step};
  if (session.is_first() && session.state().step == 0)
    for (const std::string& note : session.plan().notes) log_info(note);
  if (session.is_first()) write_status(place, "running", session.state().step, 0);
  const Outcome outcome = train(session);
  if (session.is_first()) {
    if (dry_run) {
      load_checkpoint(place.folder.latest());
      log_info(fmt::format("dry run: {} steps, evaluated, saved, and loaded again",
                           session.state().step));
    }
    const bool stopped = outcome == Outcome::kStopped;
    write_status(place, stopped ? "stopped" : "done", session.state().step,
                 static_cast<int>(stopped ? ExitCode::kStopped : ExitCode::kDone));
  }
  session.communicator().close();
  return outcome;
}

// Whether our supervisor started this rank: then it judges by status.json.
enum class Parent { kSupervisor, kOther };

// What the process returns after an agreed stop. mpirun ends the job when a rank exits non-zero,
// and the supervisor knows from status.json; whoever else started the rank learns it from the exit
// code.
int code_of(Outcome outcome, Parent parent, bool mpi) {
  const bool tells = outcome == Outcome::kStopped && parent == Parent::kOther && !mpi;
  return static_cast<int>(tells ? ExitCode::kStopped : ExitCode::kDone);
}

// Whatever leaves a rank is written down for the launcher before the peers are taken along.
int run_reporting_errors(const RankPlace& place, std::unique_ptr<Communicator> communicator,
                         bool dry_run, Parent parent) {
  const int rank = communicator->rank();
  const bool mpi = communicator->name() == "mpi", closes = parent == Parent::kOther && rank == 0;
  int64_t step = 0;
  const auto fail = [&](const Error& error) {
    write_error(place, rank, error, step);
    log_error(error.message().substr(std::string("error: ").size()));  // the log puts it back
    flush_log();
    if (closes) close_run(place, static_cast<int>(error.code()), &error, step);
    return static_cast<int>(error.code());
  };
  // Peers learn of it by this process's end: its connections close, or mpirun ends the job.
  try {
    const int code = code_of(run(place, std::move(communicator), dry_run, step), parent, mpi);
    if (closes) close_run(place, code, nullptr, step);
    return code;
  } catch (const Error& error) {
    return fail(error);
  } catch (const std::bad_alloc&) {
    return fail(EnvironmentError("out of memory", "use a smaller train.micro_batch"));
  } catch (const std::exception& error) {
    return fail(InternalError(
        error.what(), "this is a defect of lockstep; please report it with `lockstep env`"));
  }
}

// `train CONFIG` or `train --resume RUN`, started by something else than our supervisor.
int train_as_foreign_rank(const Arguments& arguments) {
  const ExchangeOptions exchange = look_at_exchange(arguments);
  pin_isa(exchange.isa);
  auto communicator = connect(exchange.backend, exchange.timeout_seconds);
  const int rank = communicator->rank();
  // Ctrl-C at a terminal reaches mpirun, which ends its ranks itself; torchrun passes it on.
  install_stop_handlers(/*ignore_interrupt=*/communicator->name() == "mpi");
  set_up_log({LogLevel::kInfo, rank, {}});
  const JoinedRun joined = join_run(arguments, *communicator);
  joined.place.folder.make_folder(joined.place.folder.attempt(joined.place.attempt));
  set_up_log({LogLevel::kInfo, rank, joined.place.folder.rank_log(joined.place.attempt, rank)});
  return run_reporting_errors(joined.place, std::move(communicator), arguments.has("--dry-run"),
                              Parent::kOther);
}

}  // namespace

int train_command(const Words& words) {
  const Arguments arguments(words, {{"--run-folder", true},
                                    {"--attempt", true},
                                    {"--dry-run", true},
                                    {"--resume", true},
                                    {"--tell-nodes", false}});
  install_stop_handlers(/*ignore_interrupt=*/true);
  set_up_compute_thread();
  if (!arguments.has("--attempt")) return train_as_foreign_rank(arguments);
  const RankPlace place{RunFolder{arguments.required("--run-folder", "train")},
                        static_cast<int>(arguments.integer("--attempt").value_or(0))};
  place.folder.make_folder(place.folder.attempt(place.attempt));
  std::unique_ptr<Communicator> communicator;
  try {
    const RunPlan plan =
        plan_from_json(read_file(place.folder.plan(), 64 << 20), place.folder.plan().string());
    communicator = connect(load_config(place.folder.config().string(), {}).config->ddp.backend,
                           plan.timeout_seconds);
    if (arguments.has("--tell-nodes")) tell_place(place, *communicator);
  } catch (const Error& error) {
    write_error(place, number_of(read_rank_environment().rank, 0), error, 0);
    throw;
  }
  const int rank = communicator->rank();
  // The launcher sends the stderr of ranks other than 0 into their log files.
  if (rank == 0)
    set_up_log({LogLevel::kInfo, 0, place.folder.rank_log(place.attempt, 0)});
  else
    set_up_log({LogLevel::kInfo, -1, {}});
  return run_reporting_errors(place, std::move(communicator), arguments.has("--dry-run"),
                              Parent::kSupervisor);
}

}  // namespace lockstep
