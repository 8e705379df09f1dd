// The kinds of datasets (design.md 2, "Kinds").
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/kinds.h"
#include "data/dataset.h"

namespace lockstep {

// A kind is made from its options and the patterns of its shards: folders, files or globs
// (`datasets/sudoku/train-*.h5`), see data/shards/shard_files.h.
using DatasetTable = Table<Dataset, const std::vector<std::string>&>;

// The built-in kinds:
//   arrays  the arrays of any dataset, as stored
//   grids   solved Sudoku grids: `solution` u8 [81] of 1–9; optional `puzzle` u8 [81] (0 = blank)
//   images  pictures: `images` u8 [C,H,W]; optional `labels` (class numbers from 0)
// Plug-ins add rows to the returned table before the config is read.
DatasetTable dataset_kinds();

// Opens the shards of `patterns` as dataset of `kind` with its default options. Throws ConfigError
// for an unknown kind, DataError naming the file for damaged, missing or unlisted shards.
std::unique_ptr<Dataset> open_dataset(const std::string& kind,
                                      const std::vector<std::string>& patterns);

}  // namespace lockstep
