// `data make|convert|inspect|verify|show`: shards, from the command line.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "core/config_node.h"
#include "core/errors.h"
#include "data/commands.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {
namespace {

template <class T>
T options_from(const Arguments& arguments) {
  Node root;
  root.type = Node::Type::kMap;
  apply_overrides(root, arguments.overrides());
  T options;
  read_fields(root, options);
  return options;
}

// The positional words behind the first, exactly as many as `names`.
std::vector<std::string> operands(const Arguments& arguments, const std::vector<std::string>& names) {
  const auto& words = arguments.positionals();
  std::string usage;
  for (const std::string& name : names) usage += " " + name;
  if (words.size() != names.size())
    throw ConfigError(fmt::format("expected{}, got {} words", usage, words.size()), "see lockstep data --help");
  return words;
}

// The options of `data make` or `data convert`, each with type, default and limits.
template <class T>
int print_help(const char* usage, const char* examples) {
  T options;
  std::printf("%s\n\nExamples\n%s\nKeys\n%s", usage, examples,
              print_keys([&](FieldVisitor& v) { options.fields(v); }).c_str());
  return 0;
}

int help(const std::string& what) {
  if (what == "convert")
    return print_help<ConvertSudokuOptions>(
        "lockstep data convert sudoku-csv INPUT FOLDER [key=value ...]",
        "  lockstep data convert sudoku-csv puzzles.csv data/puzzles\n"
        "  lockstep data convert sudoku-csv puzzles.csv data/puzzles prefix=validation\n");
  if (what == "make")
    return print_help<MakeSudokuOptions>("lockstep data make sudoku FOLDER [key=value ...]",
                                         "  lockstep data make sudoku data/sudoku\n"
                                         "  lockstep data make sudoku data/small train_grids=1000 seed=2\n");
  std::printf("lockstep data %s DATASET [--json]%s\n\nExamples\n  lockstep data %s data/sudoku\n"
              "  lockstep data %s data/sudoku/validation.h5 --json\n",
              what.c_str(), what == "show" ? " [--first N] [--count N]" : "", what.c_str(), what.c_str());
  return 0;
}

void print(const DataReport& report, bool json) { std::puts((json ? report.json : report.text).c_str()); }

int make(const Arguments& arguments) {
  const auto words = operands(arguments, {"sudoku", "FOLDER"});
  if (words[0] != "sudoku") throw ConfigError("'" + words[0] + "' cannot be made", "this version makes: sudoku");
  const bool made = make_sudoku(words[1], options_from<MakeSudokuOptions>(arguments), /*show_progress=*/true);
  std::puts(made ? ("made " + words[1]).c_str() : (words[1] + " holds these data already").c_str());
  return 0;
}

int convert(const Arguments& arguments) {
  const auto words = operands(arguments, {"sudoku-csv", "INPUT", "FOLDER"});
  if (words[0] != "sudoku-csv") throw ConfigError("'" + words[0] + "' cannot be converted", "this version converts: sudoku-csv");
  const int64_t puzzles =
      convert_sudoku_csv(words[1], words[2], options_from<ConvertSudokuOptions>(arguments), /*show_progress=*/true);
  std::printf("converted %lld puzzles into %s\n", static_cast<long long>(puzzles), words[2].c_str());
  return 0;
}

int look(const std::string& what, const Arguments& arguments) {
  arguments.no_overrides();
  const std::string path = arguments.one_positional("dataset");
  const bool json = arguments.has("--json");
  if (what == "inspect") print(inspect_data(path), json);
  if (what == "verify") print(verify_data(path, /*show_progress=*/true), json);
  if (what == "show") print(show_data(path, arguments.integer("--first").value_or(0), arguments.integer("--count").value_or(3)), json);
  return 0;
}

}  // namespace

int data_command(const Words& words) {
  const std::string what = words.empty() ? "" : words.front();
  const Words rest(words.begin() + (words.empty() ? 0 : 1), words.end());
  const bool known = what == "make" || what == "convert" || what == "inspect" || what == "verify" || what == "show";
  const bool asks = std::any_of(rest.begin(), rest.end(), [](const std::string& w) { return w == "--help" || w == "-h"; });
  if (known && asks) return help(what);
  const Arguments arguments(rest, {{"--json"}, {"--first", true}, {"--count", true}});
  if (what == "make") return make(arguments);
  if (what == "convert") return convert(arguments);
  if (what == "inspect" || what == "verify" || what == "show") return look(what, arguments);
  const std::string near = nearest_word(what, {"make", "convert", "inspect", "verify", "show"});
  throw ConfigError(what.empty() ? "data needs a word behind it" : "unknown word '" + what + "' after data",
                    near.empty() ? "it takes make, convert, inspect, verify, show" : "did you mean " + near + "?");
}

}  // namespace lockstep
