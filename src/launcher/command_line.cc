#include "launcher/command_line.h"

#include <algorithm>
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "core/config_node.h"
#include "core/errors.h"

namespace lockstep {
namespace {

std::string help_hint(const std::string& command) { return "`lockstep " + command + " --help` lists its flags"; }

// torchrun's flags that need what this version does not have.
const std::vector<std::string> kManyNodes{"--node-rank", "--master-addr", "--master-port", "--rdzv-id",
                                          "--rdzv-endpoint", "--rdzv-backend", "--rdzv-conf"};
const std::vector<std::string> kRedirects{"--tee", "--redirects", "--log-dir"};

void refuse_unknown(const CLI::App& app, const std::string& command) {
  for (const std::string& word : app.remaining()) {
    const std::string name = word.substr(0, word.find('='));
    if (std::count(kManyNodes.begin(), kManyNodes.end(), name) > 0) {
      throw ConfigError(name + " belongs to a rendezvous over several nodes, which this version does not have",
                        "on one node leave it out; over several nodes use `mpirun --hostfile HOSTS -n N lockstep train "
                        "CONFIG` or a Slurm job");
    }
    if (std::count(kRedirects.begin(), kRedirects.end(), name) > 0) {
      throw ConfigError(name + " is not needed: every rank's output is in RUN/logs/attempt-N/rank-R.log",
                        "leave it out, and read it with `lockstep logs RUN --rank R`");
    }
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options())
      for (const std::string& flag : option->get_lnames()) known.push_back("--" + flag);
    const std::string near = name.rfind("--", 0) == 0 ? nearest_word(name, known) : "";
    if (!near.empty()) throw ConfigError("unknown flag '" + name + "'", "did you mean '" + near + "'?");
    throw ConfigError("'" + word + "' is not understood here", help_hint(command));
  }
}

void parse(CLI::App& app, const std::string& command, const std::vector<std::string>& arguments) {
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::string> reversed = with_dashes(arguments);
  std::reverse(reversed.begin(), reversed.end());  // what CLI11's parse(vector) wants
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    std::string fact = error.what();
    if (!fact.empty() && fact.back() == '.') fact.pop_back();
    throw ConfigError(command + ": " + fact, help_hint(command));
  }
  refuse_unknown(app, command);
}

// CONFIG and overrides stand in any order; an override has `=` or starts with `~`.
bool is_override(const std::string& word) {
  return word.find('=') != std::string::npos || (!word.empty() && word[0] == '~');
}

void set_from_environment(const char* name, std::string& value) {
  const char* text = std::getenv(name);
  if (value.empty() && text != nullptr) value = text;
}

int64_t to_count(const std::string& text, const std::string& flag) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 1) throw ConfigError(flag + " wants a whole number ≥ 1, not '" + text + "'");
  return value;
}

}  // namespace

std::vector<std::string> with_dashes(const std::vector<std::string>& arguments) {
  std::vector<std::string> out = arguments;
  for (std::string& word : out) {
    if (word.rfind("--", 0) != 0) continue;
    const size_t end = std::min(word.find('='), word.size());
    std::replace(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(end), '_', '-');
  }
  return out;
}

TrainFlags read_train_flags(const std::string& command, const std::vector<std::string>& arguments) {
  TrainFlags flags;
  std::vector<std::string> words;
  std::string per_node, nodes, restarts, profile;
  bool standalone = false;
  CLI::App app;
  app.add_option("words", words);
  app.add_option("--ranks", flags.ranks)->check(CLI::PositiveNumber);
  app.add_option("--nproc-per-node", per_node);
  app.add_option("--nnodes", nodes);
  app.add_option("--max-restarts", restarts);
  app.add_option("--profile", profile);
  app.add_option("--dry-run", flags.dry_run_steps)->check(CLI::PositiveNumber);
  app.add_flag("--standalone", standalone);  // torchrun's word for: one node, no rendezvous
  if (command == "train") app.add_option("--run-folder", flags.run_folder);
  parse(app, command, arguments);
  set_from_environment("PET_NPROC_PER_NODE", per_node);
  set_from_environment("PET_NNODES", nodes);
  set_from_environment("PET_MAX_RESTARTS", restarts);

  for (const std::string& word : words) {
    if (is_override(word)) {
      flags.overrides.push_back(word);
    } else if (flags.target.empty()) {
      flags.target = word;
    } else {
      throw ConfigError("'" + word + "' is no override", "overrides look like train.steps=100; " + help_hint(command));
    }
  }
  if (flags.target.empty()) {
    throw ConfigError(command == "train" ? "train needs a config file" : "resume needs a run folder",
                      command == "train" ? "try `lockstep train configs/sudoku/quickstart.yaml`" : "`lockstep runs` lists them");
  }
  if (!nodes.empty() && nodes != "1" && nodes != "1:1") {
    throw ConfigError("--nnodes " + nodes + ": this version starts ranks on one node",
                      "over several nodes use `mpirun --hostfile HOSTS -n N lockstep train CONFIG` or a Slurm job");
  }
  if (per_node == "cpu") per_node = "auto";
  if (!per_node.empty()) {
    if (flags.ranks) throw ConfigError("--ranks and --nproc-per-node say the same thing twice", "give one of them");
    if (per_node != "auto") to_count(per_node, "--nproc-per-node");
    flags.overrides.push_back("launch.ranks_per_node=" + per_node);
  }
  if (!profile.empty()) flags.overrides.push_back("log.profile_steps=\"" + profile + "\"");
  if (!restarts.empty()) flags.overrides.push_back("launch.max_restarts=" + restarts);
  return flags;
}

SweepFlags read_sweep_flags(const std::vector<std::string>& arguments) {
  SweepFlags flags;
  std::vector<std::string> words;
  bool dry_run = false;
  CLI::App app;
  app.add_option("words", words);
  app.add_option("--at-once", flags.at_once)->check(CLI::PositiveNumber);
  app.add_option("--folder", flags.folder);
  app.add_flag("--print", flags.print);
  app.add_flag("--dry-run", dry_run);
  parse(app, "sweep", arguments);
  flags.print = flags.print || dry_run;
  for (const std::string& word : words) {
    if (is_override(word)) flags.overrides.push_back(word);
    else if (flags.target.empty()) flags.target = word;
    else throw ConfigError("'" + word + "' is no override", "overrides look like train.steps=100; " + help_hint("sweep"));
  }
  if (flags.target.empty()) throw ConfigError("sweep needs its file", "try `lockstep sweep configs/sudoku/sweep.yaml --print`");
  return flags;
}

ReportFlags read_report_flags(const std::vector<std::string>& arguments) {
  ReportFlags flags;
  CLI::App app;
  app.add_option("runs", flags.runs);
  app.add_option("--output", flags.output);
  parse(app, "report", arguments);
  if (flags.runs.empty()) throw ConfigError("report needs a run folder", "`lockstep runs` lists them");
  return flags;
}

RunsFlags read_runs_flags(const std::vector<std::string>& arguments) {
  RunsFlags flags;
  CLI::App app;
  app.add_option("folder", flags.folder);
  app.add_flag("--json", flags.json);
  parse(app, "runs", arguments);
  return flags;
}

LogsFlags read_logs_flags(const std::vector<std::string>& arguments) {
  LogsFlags flags;
  CLI::App app;
  app.add_option("run", flags.run);
  app.add_option("--rank", flags.rank)->check(CLI::NonNegativeNumber);
  app.add_option("--attempt", flags.attempt)->check(CLI::NonNegativeNumber);
  app.add_option("--lines", flags.lines)->check(CLI::PositiveNumber);
  parse(app, "logs", arguments);
  if (flags.run.empty()) throw ConfigError("logs needs a run folder", "`lockstep runs` lists them");
  return flags;
}

}  // namespace lockstep
