// The most recently used chunks, up to a number of bytes. Thread-safe.
//
// Two threads that miss the same chunk at once both read it; that costs less than making one wait.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace lockstep {

class ChunkCache {
 public:
  using Bytes = std::shared_ptr<const std::vector<uint8_t>>;
  explicit ChunkCache(size_t capacity_bytes) : capacity_(capacity_bytes) {}

  // Chunk `key`, from the cache or from `read`, which runs without a lock held.
  Bytes get(uint64_t key, const std::function<std::vector<uint8_t>()>& read) {
    if (Bytes cached = find(key)) return cached;
    Bytes fresh = std::make_shared<const std::vector<uint8_t>>(read());
    insert(key, fresh);
    return fresh;
  }

 private:
  struct Entry {
    uint64_t key;
    Bytes bytes;
  };

  Bytes find(uint64_t key) {
    std::lock_guard lock(mutex_);
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    recent_.splice(recent_.begin(), recent_, found->second);
    return found->second->bytes;
  }

  void insert(uint64_t key, Bytes bytes) {
    std::lock_guard lock(mutex_);
    if (places_.contains(key)) return;
    held_ += bytes->size();
    recent_.push_front({key, std::move(bytes)});
    places_[key] = recent_.begin();
    while (held_ > capacity_ && recent_.size() > 1) {
      held_ -= recent_.back().bytes->size();
      places_.erase(recent_.back().key);
      recent_.pop_back();
    }
  }

  const size_t capacity_;
  std::mutex mutex_;
  std::list<Entry> recent_;  // newest first
  std::unordered_map<uint64_t, std::list<Entry>::iterator> places_;
  size_t held_ = 0;
};

}  // namespace lockstep
