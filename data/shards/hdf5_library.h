// The HDF5 C library behind a lock and RAII handles. Only data/hdf5_*.cc include this.
//
// HDF5 serialises its callers anyway where it was built thread-safe and is unsafe where it was not,
// so a Library object, which holds one lock, must be alive around every call. It also keeps the
// library from printing its error stack and from loading filter plug-ins named by a file.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include <hdf5.h>

#include "core/errors.h"

namespace lockstep::hdf5 {

class Library {
 public:
  Library();

 private:
  std::lock_guard<std::mutex> lock_;
};

// The innermost entry of HDF5's error stack of this thread, "" if empty. Clears it.
std::string last_error();

// Throws DataError "WHAT: HDF5's reason" if an HDF5 call returned a negative value.
template <class Result>
Result check(Result result, const std::string& what) {
  if (result < 0) {
    const std::string reason = last_error();
    throw DataError(reason.empty() ? what : what + ": " + reason);
  }
  return result;
}

// An HDF5 identifier and its closing function. Destroy it under a Library.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  // Throws DataError saying `what` if `id` is invalid.
  Handle(hid_t id, Close close, const std::string& what) : id_(check(id, what)), close_(close) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  operator hid_t() const { return id_; }
  void reset() {
    if (id_ >= 0) close_(id_);
    id_ = -1;
  }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

}  // namespace lockstep::hdf5
