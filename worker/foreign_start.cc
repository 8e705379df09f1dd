#include "worker/foreign_start.h"

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/log.h"
#include "core/rank_environment.h"
#include "ddp/tcp/job_place.h"
#include "ddp/tcp/meeting.h"
#include "report/report.h"
#include "train/prepare.h"
#include "worker/rank_files.h"

namespace lockstep {
namespace {

constexpr auto kTick = std::chrono::milliseconds(200);
constexpr const char* kFolderKey = "run folder";

const char* variable(const char* name) { return std::getenv(name); }

JobPlace job_place() { return has_job_place(variable) ? read_job_place(variable) : JobPlace{}; }

// Rank 0 works (it may make data for minutes) while the others wait; a tick every now and then
// keeps their deadlines from passing.
class Ticker {
 public:
  explicit Ticker(Communicator& communicator)
      : communicator_(communicator), thread_([this] { run(); }) {}
  ~Ticker() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  static void wait_for_rank_0(Communicator& communicator) {
    for (char more = 1; more != 0;) communicator.broadcast(&more, 1, 0, kWhat);
  }

 private:
  static constexpr const char* kWhat = "rank 0 prepares the run";
  void run() {
    std::unique_lock lock(mutex_);
    try {
      char more = 1;
      while (!changed_.wait_for(lock, kTick, [&] { return done_; }))
        communicator_.broadcast(&more, 1, 0, kWhat);
      more = 0;
      communicator_.broadcast(&more, 1, 0, kWhat);
    } catch (const Error&) {
      // A peer left; what follows will meet the same and say so.
    }
  }
  Communicator& communicator_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;
};

// As many nodes as the ranks are spread over, so that the plan counts this machine's cores right.
std::vector<std::string> rank_overrides(const Communicator& communicator) {
  const int local = number_of(read_rank_environment().local_size, 0);
  const bool even = local > 0 && communicator.size() % local == 0;
  const int64_t per_node = even ? local : communicator.size();
  return {"launch.nodes=" + std::to_string(communicator.size() / per_node),
          "launch.ranks_per_node=" + std::to_string(per_node)};
}

// The run is ours alone from here on; no rank of it is alive.
std::unique_ptr<FileLock> lock_folder(const RunFolder& folder) {
  make_folders(folder.root);
  auto lock = folder.take_lock("wait for it, or stop it with SIGTERM");
  folder.remove_unfinished();
  return lock;
}

// The run to go on with: asked for by --resume, or left by an earlier attempt of torchrun.
std::optional<RunFolder> earlier_run(const Arguments& arguments, const JobPlace& job) {
  if (const auto run = arguments.value("--resume")) return RunFolder::find(*run);
  if (job.attempt == 0) return std::nullopt;
  const RunFolder kept{kept_by_earlier_attempt(job, kFolderKey)};
  if (!kept.root.empty() && kept.holds_run()) return kept;
  const RunFolder wanted{arguments.value("--run-folder").value_or("")};
  if (!wanted.root.empty() && wanted.holds_run()) return wanted;
  return std::nullopt;
}

JoinedRun prepare(const Arguments& arguments, Communicator& communicator) {
  const JobPlace job = job_place();
  PrepareOptions options;
  options.make_data = true;
  options.dry_run_steps = arguments.integer("--dry-run");
  std::vector<std::string> overrides = rank_overrides(communicator);
  JoinedRun run;
  Prepared prepared;
  if (const auto earlier = earlier_run(arguments, job)) {
    run.place.folder = *earlier;
    run.lock = lock_folder(run.place.folder);
    if (arguments.has("--resume"))
      overrides.insert(overrides.begin(), arguments.overrides().begin(),
                       arguments.overrides().end());
    prepared = prepare_resume(run.place.folder, overrides, options);
    run.place.attempt = run.place.folder.next_attempt();
  } else {
    overrides.insert(overrides.begin(), arguments.overrides().begin(), arguments.overrides().end());
    const auto wanted = arguments.value("--run-folder");
    const auto refuse = [&] {
      if (wanted && RunFolder{*wanted}.holds_run())
        throw ConfigError(*wanted + " holds a run already",
                          "go on with it: lockstep resume " + *wanted);
    };
    refuse();
    prepared = prepare_run(arguments.one_positional("config"), overrides, options);
    run.place.folder =
        wanted ? RunFolder{*wanted} : RunFolder::make_new(prepared.plan.folder, prepared.plan.name);
    run.lock = lock_folder(run.place.folder);
    refuse();  // somebody else may have been quicker
  }
  run.place.folder.root = fs::absolute(run.place.folder.root);
  write_file_atomic(run.place.folder.config(), prepared.config_yaml);
  write_file_atomic(run.place.folder.plan(),
                    plan_line(prepared, run.place.folder.root.string()) + "\n");
  keep_for_next_attempt(job, kFolderKey, run.place.folder.root.string());
  std::printf("run folder: %s\n", run.place.folder.root.c_str());
  std::fflush(stdout);
  return run;
}

using Json = nlohmann::ordered_json;

Json place_json(const RankPlace& place) {
  return {{"root", fs::absolute(place.folder.root).string()}, {"attempt", place.attempt}};
}

RankPlace parse_place(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) throw InternalError("rank 0 sent no run folder");
  if (json.contains("error"))
    throw Error(static_cast<ExitCode>(json.at("code").get<int>()),
                "rank 0 could not begin: " + json.at("error").get<std::string>(),
                "see the message of rank 0", {});
  return {RunFolder{json.at("root").get<std::string>()}, json.at("attempt").get<int>()};
}

RankPlace exchange_place(Communicator& communicator, const std::string& mine) {
  return parse_place(all_gather_strings(communicator, mine, "name of the run folder").front());
}

}  // namespace

ExchangeOptions look_at_exchange(const Arguments& arguments) {
  try {
    const auto run = arguments.value("--resume");
    const std::string path =
        run ? RunFolder::find(*run).config().string() : arguments.one_positional("config");
    const LoadedConfig loaded = load_config(path, arguments.overrides());
    return {loaded.config->ddp.backend, loaded.config->ddp.timeout_seconds,
            loaded.config->run.cpu_isa};
  } catch (const Error&) {
    return {};
  }
}

JoinedRun join_run(const Arguments& arguments, Communicator& communicator) {
  if (communicator.rank() != 0) {
    Ticker::wait_for_rank_0(communicator);
    return {exchange_place(communicator, ""), nullptr};
  }
  JoinedRun run;
  std::optional<Error> error;
  {
    const Ticker ticker(communicator);
    try {
      run = prepare(arguments, communicator);
    } catch (const Error& thrown) {
      error = thrown;
    } catch (const std::exception& thrown) {
      error = InternalError(thrown.what());
    }
  }
  if (!error) {
    exchange_place(communicator, place_json(run.place).dump());
    return run;
  }
  try {
    exchange_place(communicator,
                   Json{{"error", error->what()}, {"code", static_cast<int>(error->code())}}.dump(
                       -1, ' ', false, Json::error_handler_t::replace));
  } catch (const Error&) {
    // Its own words, back from the exchange, or a peer is gone: what counts is below.
  }
  throw *error;
}

void tell_place(const RankPlace& place, Communicator& communicator) {
  if (communicator.rank() == 0) {
    const Ticker ticker(communicator);
  } else {
    Ticker::wait_for_rank_0(communicator);
  }
  exchange_place(communicator, communicator.rank() == 0 ? place_json(place).dump() : "");
}

void close_run(const RankPlace& place, int code, const Error* error, int64_t step) noexcept {
  try {
    if (error != nullptr) {
      write_status(place, "failed", step, code);
      std::error_code missing;
      fs::copy_file(place.folder.attempt(place.attempt) / "rank-0.error.json", place.folder.error(),
                    fs::copy_options::overwrite_existing, missing);
    }
    write_report(place.folder);
    write_tensorboard(place.folder);
    const std::string summary = code == 0 ? closing_summary(place.folder) : "";
    std::fputs(summary.c_str(), stderr);
  } catch (const std::exception& thrown) {
    log_warning(std::string("no report: ") + thrown.what());
  }
}

}  // namespace lockstep
