#include "ddp/single.h"

#include <atomic>
#include <cstring>

namespace lockstep {
namespace {

class SingleCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  const std::string& name() const override { return name_; }

  void barrier(const std::string& what) override { check(what); }
  void broadcast(void*, size_t, int, const std::string& what) override { check(what); }
  void all_gather(const void* mine, void* all, size_t bytes, const std::string& what) override {
    check(what);
    if (bytes > 0) std::memcpy(all, mine, bytes);
  }
  void all_reduce(float*, size_t, const std::string& what) override { check(what); }
  void send(int, const void*, size_t, const std::string& what) override { no_peer(what); }
  void receive(int, void*, size_t, const std::string& what) override { no_peer(what); }
  void exchange(int, const void*, size_t, void*, size_t, const std::string& what) override {
    no_peer(what);
  }
  void cancel() noexcept override { cancelled_ = true; }
  void abort(int) noexcept override {}

 private:
  void check(const std::string& what) const {
    if (cancelled_) throw CommError("'" + what + "' was cancelled");
  }
  [[noreturn]] static void no_peer(const std::string& what) {
    throw InternalError("'" + what + "': a single rank has no peer");
  }
  const std::string name_ = "single";
  std::atomic<bool> cancelled_{false};
};

}  // namespace

std::unique_ptr<Communicator> make_single_communicator() {
  return std::make_unique<SingleCommunicator>();
}

}  // namespace lockstep
