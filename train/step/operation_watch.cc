#include "train/step/operation_watch.h"

#include <atomic>

#include <ATen/record_function.h>

namespace lockstep {
namespace {

// The callback has no argument of its own, so the name lies here. Names of operations live as long
// as LibTorch.
std::atomic<const char*> last_name{nullptr};

std::unique_ptr<at::ObserverContext> note(const at::RecordFunction& function) {
  last_name = function.name();
  return nullptr;
}

}  // namespace

OperationWatch::OperationWatch() {
  last_name = nullptr;
  handle_ =
      at::addGlobalCallback(at::RecordFunctionCallback(&note).scopes({at::RecordScope::FUNCTION}));
}

OperationWatch::~OperationWatch() { at::removeCallback(handle_); }

std::string OperationWatch::last() const {
  const char* name = last_name;
  return name == nullptr ? "" : name;
}

}  // namespace lockstep
