// `data.make`: how a config's data come to be if its files are missing, so that an example runs
// with one command.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/kinds.h"

namespace lockstep {

class DataMaker {
 public:
  virtual ~DataMaker() = default;
  // What will be made and where, one line.
  virtual std::string describe() const = 0;
  // Makes the files, with a progress bar on stderr. A crash leaves nothing half-valid.
  virtual void make() const = 0;
};

// Rows: `none` (the files must exist) and the makers of data.
using DataMakerTable = Table<DataMaker>;
DataMakerTable built_in_data_makers();

// True if some pattern of `patterns` matches no file.
bool files_are_missing(const std::vector<std::string>& patterns);

}  // namespace lockstep
