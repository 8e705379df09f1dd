// TCP sockets with deadlines: addresses, listening, connecting.
//
// Nothing here listens everywhere: a listener is bound to one address, which the caller names.
// Used by the launcher (the meeting point of a job) and by ddp (ranks that MPI did not start).
#pragma once

#include <optional>
#include <string>

#include <sys/socket.h>

namespace lockstep {

// Owns a descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket();
  Socket(Socket&& other) noexcept : descriptor_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int descriptor() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }
  int release();

 private:
  int descriptor_ = -1;
};

// An IPv4 or IPv6 address with a port.
struct Address {
  sockaddr_storage bytes{};
  socklen_t length = 0;

  std::string host() const;  // numeric: "10.0.0.7"
  int port() const;
  Address with_port(int port) const;
  std::string text() const;  // "10.0.0.7:29500", "[::1]:29500"
};

// The first address of a name or number, IPv4 before IPv6, so that all nodes choose alike. Throws
// EnvironmentError if there is none.
Address resolve(const std::string& host, int port);

// The address of this machine from which packets to `to` would leave.
Address own_address_towards(const Address& to);
Address local_address(const Socket& socket);
Address peer_address(const Socket& socket);

// Takes this address (port 0: any free one) without listening yet: whoever connects is refused, not
// left waiting. Throws EnvironmentError if the port is in use or the address is not ours, with
// `help` as what to do about a port in use.
Socket bind_at(const Address& address, const std::string& help);
// Listens on this address only.
Socket listen_at(const Address& address, const std::string& help);

// One attempt. Nothing if nobody listens there or the deadline passes. `from`: the own address to
// use.
std::optional<Socket> try_connect(const Address& to, const std::optional<Address>& from,
                                  double seconds);

// Whole messages, with a deadline for all of it. False if the other side left or was too slow.
bool send_all(const Socket& socket, const void* data, size_t bytes, double seconds);
bool receive_all(const Socket& socket, void* data, size_t bytes, double seconds);

// For many small messages: no waiting for more to send.
void send_at_once(const Socket& socket);

}  // namespace lockstep
