// A dataset of arrays whose samples are checked as they are read: the base of the kinds that give
// arrays a meaning (grids, images).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/shards/arrays_dataset.h"

namespace lockstep {

class CheckedDataset : public Dataset {
 public:
  CheckedDataset(const ShardList& list, const ArraysOptions& options);
  int64_t size() const override { return inner_->size(); }
  const std::vector<ArrayInfo>& arrays() const override { return inner_->arrays(); }
  std::string content_hash() const override { return inner_->content_hash(); }
  Batch read(std::span<const int64_t> ids) const override;

 protected:
  // Called with each batch before it is handed out, from loader threads. Throws DataError.
  virtual void check(Batch& batch) const = 0;
  // Throws DataError "sample N of the shard" + `what`, N counted in the shard it names.
  [[noreturn]] void refuse(int64_t id, const std::string& what, const std::string& help) const;

 private:
  std::unique_ptr<Dataset> inner_;
  std::vector<ShardPath> shards_;
};

}  // namespace lockstep
