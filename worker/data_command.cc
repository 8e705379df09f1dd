// `data make|convert|inspect|verify|show`: shards, from the command line.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/config/config_node.h"
#include "core/errors.h"
#include "core/user_path.h"
#include "data/commands.h"
#include "data/images/image_commands.h"
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

// What can be made or converted: a row of a table below.
struct DataKind {
  std::string name, doc;
  std::vector<std::string> operands;  // behind the name
  std::string examples;
  void (*fields)(FieldVisitor&);
  std::string (*run)(const std::vector<std::string>& operands,
                     const Arguments&);  // returns what to say
};

template <class T>
void fields_of(FieldVisitor& visit) {
  T options;
  options.fields(visit);
}

ConvertPicturesOptions picture_options(const Arguments& arguments) {
  ConvertPicturesOptions options = options_from<ConvertPicturesOptions>(arguments);
  options.shards.skip_broken |= arguments.has("--skip-broken");
  return options;
}

constexpr size_t kClassesTold = 20;  // by name; dataset.json holds all

std::string told(const Converted& converted, const std::string& folder) {
  std::string line = fmt::format("converted {} pictures", converted.images);
  if (converted.classes > 0) line += fmt::format(" of {} classes", converted.classes);
  line += " into " + folder;
  if (converted.held_out > 0)
    line += fmt::format(", {} of them as validation-*.h5", converted.held_out);
  if (converted.skipped > 0) line += fmt::format("; {} broken ones left out", converted.skipped);
  const std::vector<std::string>& names = converted.class_names;
  if (!names.empty() && names[0] == "0") return line;  // WebDataset's classes are numbers
  for (size_t i = 0; i < std::min(names.size(), kClassesTold); ++i)
    line += fmt::format("{}{} {}", i == 0 ? "\nclasses: " : ", ", i, names[i]);
  return names.size() > kClassesTold ? line + " …" : line;
}

const std::vector<DataKind>& makers() {
  static const std::vector<DataKind> rows = {
      {"sudoku",
       "solved grids and puzzles by number of givens",
       {"FOLDER"},
       "  lockstep data make sudoku datasets/sudoku\n"
       "  lockstep data make sudoku datasets/small train_grids=1000 seed=2\n",
       fields_of<MakeSudokuOptions>,
       [](const std::vector<std::string>& words, const Arguments& arguments) {
         const bool made = make_sudoku(words[0], options_from<MakeSudokuOptions>(arguments),
                                       /*show_progress=*/true);
         return made ? "made " + words[0] : words[0] + " holds these data already";
       }},
      {"sudoku-sequences",
       "solved grids with an order of their cells, for task.objective: seed",
       {"FOLDER"},
       "  lockstep data make sudoku-sequences datasets/sudoku-sequences\n"
       "  lockstep data make sudoku-sequences datasets/small train_sequences=1000 seed=2\n",
       fields_of<MakeSequencesOptions>,
       [](const std::vector<std::string>& words, const Arguments& arguments) {
         const bool made = make_sudoku_sequences(
             words[0], options_from<MakeSequencesOptions>(arguments), /*show_progress=*/true);
         return made ? "made " + words[0] : words[0] + " holds these data already";
       }},
      {"shapes",
       "pictures of coloured shapes",
       {"FOLDER"},
       "  lockstep data make shapes datasets/shapes\n"
       "  lockstep data make shapes datasets/gray image_size=16 channels=1\n",
       fields_of<MakeShapesOptions>,
       [](const std::vector<std::string>& words, const Arguments& arguments) {
         const bool made = make_shapes(words[0], options_from<MakeShapesOptions>(arguments),
                                       /*show_progress=*/true);
         return made ? "made " + words[0] : words[0] + " holds these data already";
       }},
  };
  return rows;
}

const std::vector<DataKind>& converters() {
  static const std::vector<DataKind> rows = {
      {"sudoku-csv",
       "puzzles, one a line",
       {"INPUT", "FOLDER"},
       "  lockstep data convert sudoku-csv puzzles.csv datasets/puzzles validation=0.1\n"
       "  lockstep data convert sudoku-csv held-out.csv datasets/puzzles prefix=validation\n",
       fields_of<ConvertSudokuOptions>,
       [](const std::vector<std::string>& words, const Arguments& arguments) {
         const int64_t puzzles =
             convert_sudoku_csv(words[0], words[1], options_from<ConvertSudokuOptions>(arguments),
                                /*show_progress=*/true);
         return fmt::format("converted {} puzzles into {}", puzzles, words[1]);
       }},
      {"image-folder",
       "PNG and JPEG files, also in sub-folders",
       {"INPUT", "FOLDER"},
       "  lockstep data convert image-folder photos datasets/photos size=64 resize=shorter_side "
       "validation=0.1\n"
       "  lockstep data convert image-folder photos datasets/photos size=32 --skip-broken\n",
       fields_of<ConvertPicturesOptions>,
       [](const std::vector<std::string>& words, const Arguments& arguments) {
         return told(convert_image_folder(words[0], words[1], picture_options(arguments),
                                          /*show_progress=*/true),
                     words[1]);
       }},
      {"webdataset",
       "tar shards with .jpg or .png and .cls",
       {"INPUT", "FOLDER"},
       "  lockstep data convert webdataset 'shards/data-{000000..000012}.tar' datasets/web "
       "size=64\n",
       fields_of<ConvertPicturesOptions>,
       [](const std::vector<std::string>& words, const Arguments& arguments) {
         return told(convert_webdataset(words[0], words[1], picture_options(arguments),
                                        /*show_progress=*/true),
                     words[1]);
       }},
      {"cifar",
       "CIFAR-10 and CIFAR-100, binary version",
       {"INPUT", "FOLDER"},
       "  lockstep data convert cifar cifar-10-batches-bin datasets/cifar10\n",
       fields_of<ConvertRecordsOptions>,
       [](const std::vector<std::string>& words, const Arguments& arguments) {
         return told(
             convert_cifar(words[0], words[1], options_from<ConvertRecordsOptions>(arguments),
                           /*show_progress=*/true),
             words[1]);
       }},
      {"mnist",
       "idx files of MNIST and its relatives, also .gz",
       {"INPUT", "FOLDER"},
       "  lockstep data convert mnist MNIST/raw datasets/mnist\n",
       fields_of<ConvertRecordsOptions>,
       [](const std::vector<std::string>& words, const Arguments& arguments) {
         return told(
             convert_mnist(words[0], words[1], options_from<ConvertRecordsOptions>(arguments),
                           /*show_progress=*/true),
             words[1]);
       }},
  };
  return rows;
}

std::string usage(const std::string& what, const DataKind& kind) {
  std::string line = "lockstep data " + what + " " + kind.name;
  for (const std::string& operand : kind.operands) line += " " + operand;
  return line + " [key=value ...]";
}

// `data make --help`: what there is. `data make KIND --help`: its keys with type, default and
// limits.
int help(const std::string& what, const std::vector<DataKind>& kinds, const std::string& name) {
  for (const DataKind& kind : kinds)
    if (kind.name == name || (name.empty() && kinds.size() == 1)) {
      std::printf("%s\n\nExamples\n%s\nKeys\n%s", usage(what, kind).c_str(), kind.examples.c_str(),
                  print_keys(kind.fields).c_str());
      return 0;
    }
  std::printf("lockstep data %s KIND ...\n\nExamples\n", what.c_str());
  for (const DataKind& kind : kinds) std::printf("%s", kind.examples.c_str());
  std::printf("\nKinds (lockstep data %s KIND --help lists the keys of one)\n", what.c_str());
  for (const DataKind& kind : kinds)
    std::printf("  %-14s %s\n", kind.name.c_str(), kind.doc.c_str());
  return 0;
}

int help_looking(const std::string& what) {
  std::printf(
      "lockstep data %s DATASET [--json]%s\n\nExamples\n  lockstep data %s datasets/sudoku\n"
      "  lockstep data %s datasets/sudoku/validation.h5 --json\n",
      what.c_str(), what == "show" ? " [--first N] [--count N]" : "", what.c_str(), what.c_str());
  return 0;
}

int run_kind(const std::string& what, const std::vector<DataKind>& kinds,
             const Arguments& arguments) {
  std::vector<std::string> words = arguments.positionals(), names;
  for (const DataKind& kind : kinds) names.push_back(kind.name);
  if (words.empty())
    throw ConfigError("data " + what + " needs a kind behind it",
                      "it takes: " + fmt::format("{}", fmt::join(names, ", ")));
  const auto kind = std::find_if(kinds.begin(), kinds.end(),
                                 [&](const DataKind& row) { return row.name == words[0]; });
  if (kind == kinds.end())
    throw ConfigError(
        fmt::format("'{}' cannot be {}", words[0], what == "make" ? "made" : "converted"),
        fmt::format("this version {}s: {}", what, fmt::join(names, ", ")));
  words.erase(words.begin());
  if (words.size() != kind->operands.size())
    throw ConfigError(
        fmt::format("expected {}, got {} word{} behind '{}'", fmt::join(kind->operands, " "),
                    words.size(), words.size() == 1 ? "" : "s", kind->name),
        usage(what, *kind));
  for (std::string& word : words) word = user_path(word);
  std::puts(kind->run(words, arguments).c_str());
  return 0;
}

void print(const DataReport& report, bool json) {
  std::puts((json ? report.json : report.text).c_str());
}

int look(const std::string& what, const Arguments& arguments) {
  arguments.no_overrides();
  const std::string path = arguments.one_positional("dataset");
  const bool json = arguments.has("--json");
  if (what == "inspect") print(inspect_data(path), json);
  if (what == "verify") print(verify_data(path, /*show_progress=*/true), json);
  if (what == "show")
    print(show_data(path, arguments.integer("--first").value_or(0),
                    arguments.integer("--count").value_or(3)),
          json);
  return 0;
}

}  // namespace

int data_command(const Words& words) {
  const std::string what = words.empty() ? "" : words.front();
  const Words rest(words.begin() + (words.empty() ? 0 : 1), words.end());
  const bool looks = what == "inspect" || what == "verify" || what == "show";
  const bool asks = std::any_of(rest.begin(), rest.end(),
                                [](const std::string& w) { return w == "--help" || w == "-h"; });
  const std::string first = rest.empty() || rest.front().starts_with("-") ? "" : rest.front();
  if (asks && looks) return help_looking(what);
  if (asks && what == "make") return help(what, makers(), first);
  if (asks && what == "convert") return help(what, converters(), first);
  const Arguments arguments(rest,
                            {{"--json"}, {"--first", true}, {"--count", true}, {"--skip-broken"}});
  if (what == "make") return run_kind(what, makers(), arguments);
  if (what == "convert") return run_kind(what, converters(), arguments);
  if (looks) return look(what, arguments);
  const std::string near = nearest_word(what, {"make", "convert", "inspect", "verify", "show"});
  throw ConfigError(
      what.empty() ? "data needs a word behind it" : "unknown word '" + what + "' after data",
      near.empty() ? "it takes make, convert, inspect, verify, show"
                   : "did you mean " + near + "?");
}

}  // namespace lockstep
