#include "ddp/tcp/transfer.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

namespace lockstep {

namespace {

// What is left of header and payload after `done` bytes of both.
int parts_left(iovec (&parts)[2], void* header, size_t header_bytes, void* data, size_t data_bytes,
               size_t done) {
  int count = 0;
  if (done < header_bytes)
    parts[count++] = {static_cast<char*>(header) + done, header_bytes - done};
  const size_t data_done = done > header_bytes ? done - header_bytes : 0;
  if (data_done < data_bytes)
    parts[count++] = {static_cast<char*>(data) + data_done, data_bytes - data_done};
  return count;
}

Moved outcome(ssize_t bytes, size_t& total) {
  if (bytes > 0) {
    total += static_cast<size_t>(bytes);
    return Moved::kSome;
  }
  return bytes < 0 && (errno == EAGAIN || errno == EINTR) ? Moved::kNone : Moved::kEnded;
}

}  // namespace

OutgoingMessage::OutgoingMessage(int descriptor, const void* data, size_t bytes)
    : descriptor_(descriptor),
      data_(static_cast<const char*>(data)),
      bytes_(bytes),
      header_{bytes, IncomingMessage::kMark} {}

Moved OutgoingMessage::move() {
  iovec parts[2];
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen =
      parts_left(parts, header_, sizeof header_, const_cast<char*>(data_), bytes_, sent_);
  return outcome(sendmsg(descriptor_, &message, MSG_NOSIGNAL | MSG_DONTWAIT), sent_);
}

IncomingMessage::IncomingMessage(int descriptor, void* data, size_t bytes)
    : descriptor_(descriptor), data_(static_cast<char*>(data)), bytes_(bytes) {}

Moved IncomingMessage::move() {
  iovec parts[2];
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = parts_left(parts, header_, sizeof header_, data_, bytes_, received_);
  return outcome(recvmsg(descriptor_, &message, MSG_DONTWAIT), received_);
}

}  // namespace lockstep
