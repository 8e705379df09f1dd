#include "data/shards/hdf5_library.h"

namespace lockstep::hdf5 {
namespace {

// One library in the process, so one lock.
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

herr_t keep_description(unsigned, const H5E_error2_t* error, void* text) {
  *static_cast<std::string*>(text) = error->desc == nullptr ? "" : error->desc;
  return 0;
}

}  // namespace

Library::Library() : lock_(library_mutex()) {
  H5open();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
}

std::string last_error() {
  std::string text;
  // Downward: from the call we made to where it went wrong; the last one visited is the innermost.
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_description, &text);
  H5Eclear2(H5E_DEFAULT);
  return text;
}

}  // namespace lockstep::hdf5
