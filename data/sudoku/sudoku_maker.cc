#include <unordered_set>

#include <fmt/format.h>

#include "core/config/config_node.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/commands.h"
#include "data/parallel_for.h"
#include "data/sudoku/sudoku_puzzles.h"
#include "data/sudoku/sudoku_shards.h"

namespace lockstep {
namespace {

// What a draw is for: `step` of the stream, so that grids and puzzles do not share numbers.
enum : uint32_t { kGridDraws = 0, kTrainPuzzleDraws = 1, kHeldOutPuzzleDraws = 2 };

struct GridHash {
  size_t operator()(const Grid& grid) const {
    uint64_t hash = 0;
    for (const uint8_t cell : grid) hash = splitmix64(hash ^ cell);
    return hash;
  }
};

// `count` grids that differ up to renaming digits and transposing: grids number 0, 1, 2 … of the
// stream without those that came before.
std::vector<Grid> distinct_grids(const Stream& stream, int64_t count, int threads) {
  std::vector<Grid> grids;
  std::unordered_set<Grid, GridHash> seen;
  for (int64_t first = 0; static_cast<int64_t>(grids.size()) < count;) {
    const int64_t fresh = count - static_cast<int64_t>(grids.size());
    std::vector<Grid> drawn(static_cast<size_t>(fresh)), names(drawn.size());
    parallel_for(0, fresh, threads, [&](int64_t i) {
      Draws draws(stream, static_cast<uint64_t>(first + i), kGridDraws);
      drawn[static_cast<size_t>(i)] = random_grid(draws);
      names[static_cast<size_t>(i)] = relabelled(drawn[static_cast<size_t>(i)]);
    });
    for (size_t i = 0; i < drawn.size(); ++i)
      if (seen.insert(names[i]).second) grids.push_back(drawn[i]);
    first += fresh;
  }
  return grids;
}

Grid train_puzzle(const Grid& grid, const MakeSudokuOptions& options, Draws& draws) {
  const bool minimal = draws.uniform() < static_cast<float>(options.minimal_share);
  const int target = minimal ? 0 : 26 + draws.below(12);
  return reduced_puzzle(grid, target, draws);
}

// A puzzle of `level`: givens are taken away until a number within the level's limits is left; a
// random order that gets stuck above is followed by another.
Grid level_puzzle(const Grid& grid, int level, const MakeSudokuOptions& options, Draws& draws) {
  if (level == kNumSudokuLevels - 1) {
    if (const auto puzzle =
            scarce_puzzle(grid, static_cast<int>(options.extreme_givens), 100000, draws))
      return *puzzle;
    throw DataError(fmt::format("found no puzzle of {} givens", options.extreme_givens),
                    "use another seed");
  }
  const int fewest = kSudokuLevels[level].fewest,
            most = level == 0 ? 40 : kSudokuLevels[level].most;
  for (;;) {
    // Minimal puzzles are reduced until nothing can go, not to a number.
    const bool minimal = level == kNumSudokuLevels - 2;
    const int target = minimal ? 0 : fewest + draws.below(most - fewest + 1);
    const Grid puzzle = reduced_puzzle(grid, target, draws);
    const int givens = count_givens(puzzle.data());
    if (givens >= fewest && givens <= most) return puzzle;
  }
}

void write_shards(DatasetWriter& writer, const std::vector<SudokuSample>& samples, int64_t train,
                  int64_t samples_per_shard) {
  for (int64_t first = 0, number = 0; first < train; first += samples_per_shard, ++number)
    add_sudoku_shard(writer, shard_name("train", number), samples.data() + first,
                     samples.data() + std::min(first + samples_per_shard, train));
  add_sudoku_shard(writer, "validation.h5", samples.data() + train,
                   samples.data() + samples.size());
}

}  // namespace

bool make_sudoku(const std::filesystem::path& folder, const MakeSudokuOptions& options,
                 bool show_progress) {
  MakeSudokuOptions printed = options;
  const std::string recipe =
      print_json([&](FieldVisitor& visit) { printed.fields(visit); }, {"threads", "overwrite"});
  if (!options.overwrite && DatasetWriter::is_made(folder, recipe)) return false;
  DatasetWriter writer(folder, {"grids", "lockstep data make sudoku", recipe, sudoku_arrays()},
                       options.overwrite);
  const int threads = num_threads(options.threads);
  const Stream stream(static_cast<uint64_t>(options.seed), Purpose::kDataMaking);
  const int64_t train = options.train_grids,
                total = train + options.puzzles_per_level * kNumSudokuLevels;
  const std::vector<Grid> grids = distinct_grids(stream, total, threads);
  std::vector<SudokuSample> samples(grids.size());
  Progress progress("sudoku", total, "puzzle", show_progress);
  // The last ones take longest, so they go first: no thread is left with them at the end.
  parallel_for(
      0, total, threads,
      [&](int64_t i) {
        const auto place = static_cast<size_t>(total - 1 - i);
        const auto held_out = static_cast<int64_t>(place) - train;
        Draws draws(stream, place, held_out < 0 ? kTrainPuzzleDraws : kHeldOutPuzzleDraws);
        samples[place].solution = grids[place];
        samples[place].puzzle =
            held_out < 0 ? train_puzzle(grids[place], options, draws)
                         : level_puzzle(grids[place], static_cast<int>(held_out % kNumSudokuLevels),
                                        options, draws);
      },
      [&](int64_t done) { progress.update(done); });
  progress.finish();
  write_shards(writer, samples, train, options.samples_per_shard);
  writer.finish();
  return true;
}

}  // namespace lockstep
