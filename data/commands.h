// What `lockstep data …` does, without the command line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/config/fields.h"
#include "data/validation_split.h"

namespace lockstep {

struct MakeSudokuOptions {
  int64_t train_grids = 20000;
  int64_t puzzles_per_level = 500;  // held-out; each has a grid of its own
  double minimal_share = 0.7;       // of training puzzles; the others keep U{26..37} givens
  int64_t extreme_givens = 21;      // the most that level `extreme` has
  int64_t samples_per_shard = 100000;
  int64_t seed = 1;
  int64_t threads = 0;
  bool overwrite = false;

  void fields(FieldVisitor& visit) {
    visit("train_grids", train_grids, Range{1, 100e6},
          "distinct solved grids for training, each with one puzzle");
    visit("puzzles_per_level", puzzles_per_level, Range{1, 1e6},
          "held-out puzzles for each of the five levels, each of a grid of its own");
    visit("minimal_share", minimal_share, Range{0, 1},
          "share of training puzzles that lose givens until none can go; the rest keep 26 to 37");
    visit("extreme_givens", extreme_givens, Range{20, 21},
          "most givens of level `extreme`; 20 takes ten times as long as 21");
    visit("samples_per_shard", samples_per_shard, Range{1, 10e6});
    visit("seed", seed, Range{0, 9.007e15}, "same seed, same data, for any number of threads");
    visit("threads", threads, Range{0, 1024}, "0: all cores");
    visit("overwrite", overwrite, "replace a dataset that is in the folder");
  }
};

// Makes FOLDER/train-00000.h5 … and FOLDER/validation.h5 of kind `grids`, and dataset.json. If the
// folder holds data of the same options already, returns at once (false). Held-out samples come
// round by level: sample i has level i mod 5. No grid occurs twice, also not with other digit names
// or transposed. Throws DataError if the folder holds something else, EnvironmentError.
bool make_sudoku(const std::filesystem::path& folder, const MakeSudokuOptions& options,
                 bool show_progress);

struct MakeSequencesOptions {
  int64_t train_sequences = 20000;
  int64_t validation_sequences = 1000;
  int64_t samples_per_shard = 100000;
  int64_t seed = 1;
  int64_t threads = 0;
  bool overwrite = false;

  void fields(FieldVisitor& visit) {
    visit("train_sequences", train_sequences, Range{1, 100e6},
          "solved grids for training, each with one order of its cells");
    visit("validation_sequences", validation_sequences, Range{1, 10e6}, "held-out ones");
    visit("samples_per_shard", samples_per_shard, Range{1, 10e6});
    visit("seed", seed, Range{0, 9.007e15}, "same seed, same data, for any number of threads");
    visit("threads", threads, Range{0, 1024}, "0: all cores");
    visit("overwrite", overwrite, "replace a dataset that is in the folder");
  }
};

// Makes FOLDER/train-00000.h5 … and FOLDER/validation.h5 of kind `grids` with `solution` and
// `order` u8 [81], a random permutation of the cells: 162 bytes stand for the 82 states that a
// sequence of the seed stores. Returns and throws as make_sudoku.
bool make_sudoku_sequences(const std::filesystem::path& folder, const MakeSequencesOptions& options,
                           bool show_progress);

struct ConvertSudokuOptions {
  std::string prefix = "train";  // shards are PREFIX-00000.h5 …
  double validation = 0;         // share that goes to validation-00000.h5 …
  bool require_unique = true;    // a puzzle with two solutions is an error even if one is given
  int64_t samples_per_shard = 250000;
  int64_t threads = 0;
  bool overwrite = false;

  void fields(FieldVisitor& visit) {
    visit("prefix", prefix,
          "shards are called PREFIX-00000.h5 …; those of another prefix are added to a dataset");
    visit("validation", validation, Range{0, 0.9}, kHeldOutDoc);
    visit("require_unique", require_unique,
          "refuse puzzles with more than one solution even if the file gives one");
    visit("samples_per_shard", samples_per_shard, Range{1, 10e6});
    visit("threads", threads, Range{0, 1024}, "0: all cores");
    visit("overwrite", overwrite, "replace a dataset that is in the folder");
  }
};

// Converts a text file or pipe to shards of kind `grids`. It has plain lines of 81 characters, or a
// header that names `puzzle`, `quizzes` or `question` among its columns, and maybe `solution` or
// `answer` (data/sudoku/sudoku_rows.h); other columns are left out. Blank is '.' or '0'. Fields are
// separated by commas, semicolons, tabs or bars; any line end, byte order marks, UTF-16, gzip and
// empty lines are fine (data/text_rows.h). Solutions that are absent are computed. Returns the
// number of puzzles. Throws DataError with the number of bad lines and one example of each kind of
// fault as file:line:column; then nothing is written.
int64_t convert_sudoku_csv(const std::filesystem::path& input, const std::filesystem::path& folder,
                           const ConvertSudokuOptions& options, bool show_progress);

// What a command found: for people and as one line of JSON.
struct DataReport {
  std::string text;
  std::string json;
};

// Kind, arrays, shards of a dataset folder (or pattern of shards). Opens every shard and checks its
// structure, hashes nothing. Throws DataError.
DataReport inspect_data(const std::string& path);
// Everything that can be checked: sizes, hashes, structure, the checksum of every chunk, every
// sample by the rules of its kind. Throws DataError at the first thing that is wrong.
DataReport verify_data(const std::string& path, bool show_progress);
// Samples [first, first + count) drawn as text: boards for `grids`, values for other kinds.
DataReport show_data(const std::string& path, int64_t first, int64_t count);

}  // namespace lockstep
