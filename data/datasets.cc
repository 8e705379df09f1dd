#include "data/datasets.h"

#include "data/images/images_dataset.h"
#include "data/shards/arrays_dataset.h"
#include "data/sudoku/grids_dataset.h"

namespace lockstep {

DatasetTable dataset_kinds() {
  DatasetTable table("dataset");
  table.add<ArraysOptions>(
      "arrays", "named arrays of any dtype, fixed or ragged, as stored",
      [](const ArraysOptions& options, const std::vector<std::string>& patterns) {
        return make_arrays_dataset(find_shards(patterns), options);
      });
  table.add<ArraysOptions>(
      "grids", "solved Sudoku grids, with or without puzzles",
      [](const ArraysOptions& options, const std::vector<std::string>& patterns) {
        return make_grids_dataset(find_shards(patterns), options);
      });
  table.add<ArraysOptions>(
      "images", "pictures of one size as bytes, with or without labels",
      [](const ArraysOptions& options, const std::vector<std::string>& patterns) {
        return make_images_dataset(find_shards(patterns), options);
      });
  return table;
}

std::unique_ptr<Dataset> open_dataset(const std::string& kind,
                                      const std::vector<std::string>& patterns) {
  const DatasetTable table = dataset_kinds();
  return table.make(Choice(table, kind), patterns);
}

}  // namespace lockstep
