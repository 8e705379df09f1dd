#include "launcher/command_line.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include <CLI/CLI.hpp>

#include "core/config/config_node.h"
#include "core/errors.h"

namespace lockstep {
namespace {

std::string help_hint(const std::string& command) {
  return "`lockstep " + command + " --help` lists its flags";
}

void refuse_unknown(const CLI::App& app, const std::string& command) {
  for (const std::string& word : app.remaining()) {
    const std::string name = word.substr(0, word.find('='));
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options())
      for (const std::string& flag : option->get_lnames()) known.push_back("--" + flag);
    const std::string near = name.rfind("--", 0) == 0 ? nearest_word(name, known) : "";
    if (!near.empty())
      throw ConfigError("unknown flag '" + name + "'", "did you mean '" + near + "'?");
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
  if (text.empty() || *end != '\0' || value < 1)
    throw ConfigError(flag + " wants a whole number ≥ 1, not '" + text + "'");
  return value;
}

// What torchrun has a flag or a PET_ variable for. "" = not given.
struct TorchrunFlags {
  std::string per_node, nodes, node_rank, master_address, master_port, restarts, id, endpoint,
      backend, config;
  std::string log_folder, tee, redirects;
  bool standalone = false;
};

void add_torchrun_flags(CLI::App& app, TorchrunFlags& flags) {
  app.add_option("--nproc-per-node", flags.per_node);
  app.add_option("--nnodes", flags.nodes);
  app.add_option("--node-rank", flags.node_rank);
  app.add_option("--master-addr", flags.master_address);
  app.add_option("--master-port", flags.master_port);
  app.add_option("--max-restarts", flags.restarts);
  app.add_option("--rdzv-id", flags.id);
  app.add_option("--rdzv-endpoint", flags.endpoint);
  app.add_option("--rdzv-backend", flags.backend)->check(CLI::IsMember({"static", "c10d"}));
  app.add_option("--rdzv-conf", flags.config);
  app.add_option("--log-dir", flags.log_folder);
  app.add_option("--tee,-t", flags.tee);
  app.add_option("--redirects,-r", flags.redirects);
  app.add_flag("--standalone", flags.standalone);  // torchrun's word for: one node, no rendezvous
}

void set_from_environment(TorchrunFlags& flags) {
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::string*>>{
           {"PET_NPROC_PER_NODE", &flags.per_node},
           {"PET_NNODES", &flags.nodes},
           {"PET_NODE_RANK", &flags.node_rank},
           {"PET_MASTER_ADDR", &flags.master_address},
           {"PET_MASTER_PORT", &flags.master_port},
           {"PET_MAX_RESTARTS", &flags.restarts},
           {"PET_RDZV_ID", &flags.id},
           {"PET_RDZV_ENDPOINT", &flags.endpoint},
           {"PET_LOG_DIR", &flags.log_folder},
           {"PET_TEE", &flags.tee},
           {"PET_REDIRECTS", &flags.redirects}})
    set_from_environment(name, *value);
  if (const char* standalone = std::getenv("PET_STANDALONE"))
    flags.standalone |= std::string(standalone) == "1";
}

int64_t to_number(const std::string& text, const std::string& flag, int64_t least, int64_t most) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < least || value > most)
    throw ConfigError(flag + " wants a whole number from " + std::to_string(least) + " to " +
                          std::to_string(most) + ", not '" + text + "'",
                      "`lockstep train --help` lists torchrun's flags");
  return value;
}

// "4", or torchrun's "4:4"; a range of nodes is not possible here.
int64_t count_nodes(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon != std::string::npos && text.substr(0, colon) != text.substr(colon + 1))
    throw ConfigError(
        "--nnodes " + text + ": the number of nodes cannot change during a run",
        "give one number; a stopped run goes on with another one by `lockstep resume`");
  return to_count(text.substr(0, colon), "--nnodes");
}

// Nothing on a single node.
std::optional<JobNode> job_node(const TorchrunFlags& flags) {
  JobNode node;
  node.nodes = flags.nodes.empty() ? 1 : count_nodes(flags.nodes);
  if (flags.standalone && node.nodes > 1)
    throw ConfigError("--standalone means one node, --nnodes " + flags.nodes + " several",
                      "give one of them");
  std::string address = flags.master_address, port = flags.master_port;
  const size_t colon = flags.endpoint.rfind(':');
  if (address.empty()) address = flags.endpoint.substr(0, colon);
  if (port.empty() && colon != std::string::npos) port = flags.endpoint.substr(colon + 1);
  if (node.nodes == 1) return std::nullopt;  // rank 0 is here, and any free port will do
  if (flags.node_rank.empty())
    throw ConfigError("--nnodes " + flags.nodes + " needs --node-rank", "number the nodes from 0");
  if (address.empty())
    throw ConfigError("--nnodes " + flags.nodes + " needs --master-addr",
                      "name an address of node 0 that all nodes reach");
  if (flags.per_node.empty() || flags.per_node == "auto" || flags.per_node == "cpu")
    throw ConfigError("--nnodes " + flags.nodes + " needs --nproc-per-node",
                      "say how many ranks each node starts, the same on all");
  node.rank = to_number(flags.node_rank, "--node-rank", 0, node.nodes - 1);
  node.ranks_per_node = to_count(flags.per_node, "--nproc-per-node");
  node.master_address = address;
  node.master_port = port.empty() ? kDefaultMasterPort
                                  : static_cast<int>(to_number(port, "--master-port", 1, 65'535));
  node.secret = flags.id;
  node.max_restarts =
      flags.restarts.empty() ? 3 : to_number(flags.restarts, "--max-restarts", 0, 1'000'000);
  return node;
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

namespace {

void take_words(const std::string& command, const std::vector<std::string>& words,
                TrainFlags& flags) {
  for (const std::string& word : words) {
    if (is_override(word)) {
      flags.overrides.push_back(word);
    } else if (flags.target.empty()) {
      flags.target = word;
    } else {
      throw ConfigError("'" + word + "' is no override",
                        "overrides look like train.steps=100; " + help_hint(command));
    }
  }
  if (flags.target.empty()) {
    throw ConfigError(
        command == "train" ? "train needs a config file" : "resume needs a run folder",
        command == "train" ? "try `lockstep train configs/sudoku/quickstart.yaml`"
                           : "`lockstep runs` lists them");
  }
}

}  // namespace

TrainFlags read_train_flags(const std::string& command, const std::vector<std::string>& arguments) {
  TrainFlags flags;
  std::vector<std::string> words;
  std::string profile;
  TorchrunFlags torchrun;
  CLI::App app;
  app.add_option("words", words);
  app.add_option("--ranks", flags.ranks)->check(CLI::PositiveNumber);
  app.add_option("--dry-run", flags.dry_run_steps)->check(CLI::PositiveNumber);
  app.add_option("--profile", profile);
  add_torchrun_flags(app, torchrun);
  if (command == "train") app.add_option("--run-folder", flags.run_folder);
  parse(app, command, arguments);
  set_from_environment(torchrun);
  take_words(command, words, flags);

  std::string per_node = torchrun.per_node == "cpu" ? "auto" : torchrun.per_node;
  if (!per_node.empty()) {
    if (flags.ranks)
      throw ConfigError("--ranks and --nproc-per-node say the same thing twice",
                        "give one of them");
    if (per_node != "auto") to_count(per_node, "--nproc-per-node");
    flags.overrides.push_back("launch.ranks_per_node=" + per_node);
  }
  if (!profile.empty()) flags.overrides.push_back("log.profile_steps=\"" + profile + "\"");
  if (!torchrun.restarts.empty())
    flags.overrides.push_back("launch.max_restarts=" + torchrun.restarts);
  flags.node = job_node(torchrun);
  if (flags.node) flags.overrides.push_back("launch.nodes=" + std::to_string(flags.node->nodes));
  flags.log_link = torchrun.log_folder;
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
    if (is_override(word))
      flags.overrides.push_back(word);
    else if (flags.target.empty())
      flags.target = word;
    else
      throw ConfigError("'" + word + "' is no override",
                        "overrides look like train.steps=100; " + help_hint("sweep"));
  }
  if (flags.target.empty())
    throw ConfigError("sweep needs its file",
                      "try `lockstep sweep configs/sudoku/sweep.yaml --print`");
  return flags;
}

namespace {

// torchrun's word for the streams of all ranks: 0 none, 1 stdout, 2 stderr, 3 both.
int to_streams(const std::string& text, const char* flag) {
  if (text.empty()) return 0;
  if (text.find(':') != std::string::npos)
    throw ConfigError(std::string(flag) + " " + text + ": streams of single ranks cannot be chosen",
                      "give 0, 1, 2 or 3 for all ranks");
  return static_cast<int>(to_number(text, flag, 0, 3));
}

// Where the program begins: behind `--`, else at the first word that is neither a flag nor the
// value of one.
size_t find_program(const std::vector<std::string>& words) {
  const auto marks = std::find(words.begin(), words.end(), "--");
  size_t at = 0;
  while (at < words.size() && words[at].starts_with("-")) {
    if (words[at] == "--") return at + 1;
    const bool alone = words[at] == "--standalone" || words[at] == "--no-python" ||
                       words[at].find('=') != std::string::npos;
    at += alone ? 1 : 2;
  }
  if (at >= words.size() && marks != words.end())
    return static_cast<size_t>(marks - words.begin()) + 1;
  return std::min(at, words.size());
}

}  // namespace

LaunchFlags read_launch_flags(const std::vector<std::string>& arguments) {
  const size_t begin = find_program(with_dashes(arguments));
  std::vector<std::string> words(arguments.begin(),
                                 arguments.begin() + static_cast<std::ptrdiff_t>(begin));
  if (!words.empty() && words.back() == "--") words.pop_back();
  LaunchFlags flags;
  flags.program.assign(arguments.begin() + static_cast<std::ptrdiff_t>(begin), arguments.end());
  TorchrunFlags torchrun;
  bool no_python = false;
  CLI::App app;
  add_torchrun_flags(app, torchrun);
  app.add_option("--with", flags.with)->check(CLI::IsMember({"auto", "local", "mpirun", "srun"}));
  app.add_flag("--no-python",
               no_python);  // torchrun's; here no program is taken for a Python script
  parse(app, "launch", words);
  set_from_environment(torchrun);
  if (flags.program.empty())
    throw ConfigError("launch needs a program",
                      "lockstep launch --nproc-per-node 4 -- ./program arguments");
  if (to_streams(torchrun.tee, "--tee") != 0)
    throw ConfigError("--tee cannot write to the terminal and to files at once",
                      "use --redirects with --log-dir, or neither");
  if (const auto node = job_node(torchrun)) {
    flags.node = *node;
  } else {
    flags.node.ranks_per_node =
        torchrun.per_node.empty() ? 1
        : torchrun.per_node == "auto" || torchrun.per_node == "cpu"
            ? static_cast<int64_t>(std::max(1u, std::thread::hardware_concurrency()))
            : to_count(torchrun.per_node, "--nproc-per-node");
    if (!torchrun.master_port.empty())
      flags.node.master_port =
          static_cast<int>(to_number(torchrun.master_port, "--master-port", 0, 65'535));
    flags.node.secret = torchrun.id;
    flags.node.max_restarts = torchrun.restarts.empty()
                                  ? 0
                                  : to_number(torchrun.restarts, "--max-restarts", 0, 1'000'000);
  }
  flags.redirects = to_streams(torchrun.redirects, "--redirects");
  flags.log_folder = torchrun.log_folder;
  if (flags.redirects != 0 && flags.log_folder.empty())
    throw ConfigError("--redirects needs --log-dir", "name a folder for the files");
  return flags;
}

ReportFlags read_report_flags(const std::vector<std::string>& arguments) {
  ReportFlags flags;
  CLI::App app;
  app.add_option("runs", flags.runs);
  app.add_option("--output", flags.output);
  parse(app, "report", arguments);
  if (flags.runs.empty())
    throw ConfigError("report needs a run folder", "`lockstep runs` lists them");
  return flags;
}

RunsFlags read_runs_flags(const std::vector<std::string>& arguments) {
  RunsFlags flags;
  CLI::App app;
  app.add_option("folder", flags.folder);
  app.add_option("--sort", flags.sort);
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
  app.add_flag("-f,--follow", flags.follow);
  parse(app, "logs", arguments);
  if (flags.run.empty()) throw ConfigError("logs needs a run folder", "`lockstep runs` lists them");
  return flags;
}

}  // namespace lockstep
