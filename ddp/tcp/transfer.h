// One message out and one in at the same time, without a copy in between.
//
// A message is 16 bytes of header (length, a mark) and its bytes. Neither side ever waits for the
// kernel: sockets are polled, so that a deadline, a cancel or the end of a peer ends the wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lockstep {

enum class Moved {
  kSome,   // bytes went
  kNone,   // the socket is not ready
  kEnded,  // the peer closed the connection
};

class OutgoingMessage {
 public:
  OutgoingMessage(int descriptor, const void* data, size_t bytes);
  bool done() const { return sent_ == sizeof(header_) + bytes_; }
  int descriptor() const { return descriptor_; }
  Moved move();

 private:
  const int descriptor_;
  const char* const data_;
  const size_t bytes_;
  uint64_t header_[2];
  size_t sent_ = 0;
};

class IncomingMessage {
 public:
  IncomingMessage(int descriptor, void* data, size_t bytes);
  bool done() const { return received_ == sizeof(header_) + bytes_; }
  int descriptor() const { return descriptor_; }
  // A message of another length shows in has_wrong_length(), and must not be moved further.
  Moved move();
  // The length of the message that came.
  size_t announced_bytes() const { return header_[0]; }
  size_t expected_bytes() const { return bytes_; }
  bool has_wrong_length() const {
    return received_ >= sizeof(header_) && (header_[0] != bytes_ || header_[1] != kMark);
  }
  static constexpr uint64_t kMark = 0x4d504554534b434c;  // "LCKSTEPM": out of step otherwise

 private:
  const int descriptor_;
  char* const data_;
  const size_t bytes_;
  uint64_t header_[2] = {0, 0};
  size_t received_ = 0;
};

}  // namespace lockstep
