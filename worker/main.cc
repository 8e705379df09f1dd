// `lockstep-worker COMMAND …`: everything that needs torch, and the ranks themselves. People use
// `lockstep`, which starts this program.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "core/errors.h"
#include "core/log.h"
#include "core/standard_output.h"
#include "worker/commands.h"
#include "worker/compute_environment.h"

namespace {

struct Command {
  const char* name;
  int (*run)(const lockstep::Words&);
};

constexpr Command kCommands[] = {
    {"plan", lockstep::plan_command},       {"train", lockstep::train_command},
    {"config", lockstep::config_command},   {"data", lockstep::data_command},
    {"sample", lockstep::sample_command},   {"evaluate", lockstep::evaluate_command},
    {"forward", lockstep::forward_command}, {"optimize", lockstep::optimize_command},
    {"pack", lockstep::pack_command},       {"env", lockstep::env_command},
    {"fid", lockstep::fid_command},         {"export", lockstep::export_command},
    {"bench", lockstep::bench_command},
};

int run(const std::string& name, const lockstep::Words& words) {
  for (const Command& command : kCommands)
    if (name == command.name) return command.run(words);
  throw lockstep::ConfigError("unknown command '" + name + "'", "see lockstep --help");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: lockstep-worker COMMAND ... (people use `lockstep`)\n", stderr);
    return static_cast<int>(lockstep::ExitCode::kUsage);
  }
  try {
    lockstep::set_up_standard_output();
    lockstep::set_up_compute_environment(argc, argv);
    return lockstep::flush_standard_output(run(argv[1], {argv + 2, argv + argc}));
  } catch (const lockstep::Error& error) {
    lockstep::flush_log();
    std::fprintf(stderr, "%s\n", error.message().c_str());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    std::fputs("error: out of memory\nhelp: use a smaller train.micro_batch\n", stderr);
    return static_cast<int>(lockstep::ExitCode::kEnvironment);
  } catch (const std::exception& error) {
    lockstep::flush_log();
    std::fprintf(stderr,
                 "error: %s\nhelp: this is a defect of lockstep; please report it with the output "
                 "of `lockstep env`\n",
                 error.what());
    return static_cast<int>(lockstep::ExitCode::kBug);
  }
}
