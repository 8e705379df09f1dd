#include "core/sockets.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr int kBacklog = 1024;  // ranks that connect before anyone accepts

using Clock = std::chrono::steady_clock;

Clock::time_point after(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// Waits for `events` until `end`; false if it comes first.
bool wait_for(int descriptor, short events, Clock::time_point end) {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left < 0) return false;
    pollfd entry{descriptor, events, 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::min<int64_t>(left + 1, 1000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// `move(data, bytes)` is one send or recv that does not wait.
template <class Move>
bool move_all(const Socket& socket, short events, size_t bytes, double seconds, const Move& move) {
  const auto end = after(seconds);
  for (size_t done = 0; done < bytes;) {
    const ssize_t moved = move(done, bytes - done);
    if (moved > 0) {
      done += static_cast<size_t>(moved);
    } else if (moved == 0 || (errno != EAGAIN && errno != EINTR) ||
               !wait_for(socket.descriptor(), events, end)) {
      return false;
    }
  }
  return true;
}

Address of_call(int (*call)(int, sockaddr*, socklen_t*), int descriptor) {
  Address address;
  address.length = sizeof address.bytes;
  if (call(descriptor, reinterpret_cast<sockaddr*>(&address.bytes), &address.length) != 0)
    throw EnvironmentError(std::string("a socket has no address: ") + std::strerror(errno));
  return address;
}

}  // namespace

Socket::~Socket() {
  if (descriptor_ >= 0) close(descriptor_);
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) close(descriptor_);
    descriptor_ = other.release();
  }
  return *this;
}

int Socket::release() { return std::exchange(descriptor_, -1); }

std::string Address::host() const {
  char text[INET6_ADDRSTRLEN] = "?";
  if (bytes.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(bytes).sin_addr, text, sizeof text);
  } else if (bytes.ss_family == AF_INET6) {
    const in6_addr& address = reinterpret_cast<const sockaddr_in6&>(bytes).sin6_addr;
    // An IPv4 peer of an IPv6 socket counts as what it is.
    if (IN6_IS_ADDR_V4MAPPED(&address))
      inet_ntop(AF_INET, address.s6_addr + 12, text, sizeof text);
    else
      inet_ntop(AF_INET6, &address, text, sizeof text);
  }
  return text;
}

int Address::port() const {
  return ntohs(bytes.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bytes).sin6_port
                                           : reinterpret_cast<const sockaddr_in&>(bytes).sin_port);
}

Address Address::with_port(int port) const {
  Address out = *this;
  const in_port_t number = htons(static_cast<uint16_t>(port));
  if (bytes.ss_family == AF_INET6)
    reinterpret_cast<sockaddr_in6&>(out.bytes).sin6_port = number;
  else
    reinterpret_cast<sockaddr_in&>(out.bytes).sin_port = number;
  return out;
}

std::string Address::text() const {
  const std::string name = host();
  return (name.find(':') == std::string::npos ? name : "[" + name + "]") + ":" +
         std::to_string(port());
}

Address resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (code != 0 || found == nullptr)
    throw EnvironmentError("the name '" + host + "' has no address: " + gai_strerror(code),
                           "name a host that this machine can resolve, or give its number");
  const addrinfo* chosen = found;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next)
    if (entry->ai_family == AF_INET) {
      chosen = entry;
      break;
    }
  Address address;
  std::memcpy(&address.bytes, chosen->ai_addr, chosen->ai_addrlen);
  address.length = chosen->ai_addrlen;
  freeaddrinfo(found);
  return address.with_port(port);
}

Address own_address_towards(const Address& to) {
  const Socket probe(
      socket(to.bytes.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));  // connecting it sends nothing
  const Address target = to.port() == 0 ? to.with_port(9) : to;
  if (!probe || connect(probe.descriptor(), reinterpret_cast<const sockaddr*>(&target.bytes),
                        target.length) != 0)
    throw EnvironmentError(
        "there is no way from here to " + to.host() + ": " + std::strerror(errno),
        "check the network and the master address");
  return local_address(probe).with_port(0);
}

Address local_address(const Socket& socket) { return of_call(getsockname, socket.descriptor()); }
Address peer_address(const Socket& socket) { return of_call(getpeername, socket.descriptor()); }

namespace {

[[noreturn]] void throw_bind_error(const Address& address, const std::string& help, int number) {
  const std::string port = std::to_string(address.port());
  if (number == EADDRINUSE)
    throw EnvironmentError("port " + port + " of " + address.host() + " is in use", help);
  if (number == EADDRNOTAVAIL)
    throw EnvironmentError(
        address.host() + " is no address of this machine, which is to listen there",
        "the master address must be one of the machine of rank 0 (node rank 0)");
  throw EnvironmentError("cannot listen at " + address.text() + ": " + std::strerror(number), help);
}

}  // namespace

Socket bind_at(const Address& address, const std::string& help) {
  Socket listener(socket(address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener)
    throw EnvironmentError(std::string("cannot make a socket: ") + std::strerror(errno));
  const int on = 1;
  setsockopt(listener.descriptor(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener.descriptor(), reinterpret_cast<const sockaddr*>(&address.bytes),
           address.length) != 0)
    throw_bind_error(address, help, errno);
  return listener;
}

Socket listen_at(const Address& address, const std::string& help) {
  Socket listener = bind_at(address, help);
  if (listen(listener.descriptor(), kBacklog) != 0) throw_bind_error(address, help, errno);
  return listener;
}

std::optional<Socket> try_connect(const Address& to, const std::optional<Address>& from,
                                  double seconds) {
  Socket out(socket(to.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out) throw EnvironmentError(std::string("cannot make a socket: ") + std::strerror(errno));
  if (from &&
      bind(out.descriptor(), reinterpret_cast<const sockaddr*>(&from->bytes), from->length) != 0)
    return std::nullopt;
  if (connect(out.descriptor(), reinterpret_cast<const sockaddr*>(&to.bytes), to.length) != 0) {
    if (errno != EINPROGRESS || !wait_for(out.descriptor(), POLLOUT, after(seconds)))
      return std::nullopt;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(out.descriptor(), SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0)
      return std::nullopt;
  }
  // A free port of the range for clients can connect to itself.
  if (local_address(out).text() == peer_address(out).text()) return std::nullopt;
  return out;
}

bool send_all(const Socket& socket, const void* data, size_t bytes, double seconds) {
  return move_all(socket, POLLOUT, bytes, seconds, [&](size_t at, size_t left) {
    return send(socket.descriptor(), static_cast<const char*>(data) + at, left,
                MSG_NOSIGNAL | MSG_DONTWAIT);
  });
}

bool receive_all(const Socket& socket, void* data, size_t bytes, double seconds) {
  return move_all(socket, POLLIN, bytes, seconds, [&](size_t at, size_t left) {
    return recv(socket.descriptor(), static_cast<char*>(data) + at, left, MSG_DONTWAIT);
  });
}

void send_at_once(const Socket& socket) {
  const int on = 1;
  setsockopt(socket.descriptor(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace lockstep
