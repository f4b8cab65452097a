// SPDX-License-Identifier: Apache-2.0
#include "node/service/status_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/file.h"
#include "base/status.h"

namespace bramble::node {
namespace {

constexpr int kAskLimitMs = 5000;
constexpr size_t kMaxStatusBytes = 8 << 20;

absl::StatusOr<sockaddr_un> AddressOf(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        StrCat(text, ": longer than a socket's path may be; choose a shorter run directory"));
  }
  text.copy(address.sun_path, text.size());
  return address;
}

}  // namespace

absl::Status StatusServer::Listen() {
  BRAMBLE_ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(socket_));
  ::unlink(socket_.c_str());
  listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_.valid() ||
      ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::chmod(socket_.c_str(), 0600) != 0 || ::listen(listener_.get(), 8) != 0) {
    return ErrnoStatus(errno, socket_.string());
  }
  return absl::OkStatus();
}

asio::awaitable<absl::Status> StatusServer::Run() {
  asio::posix::stream_descriptor listener(loop_, listener_.Release());
  while (true) {
    co_await listener.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
    const Fd client(::accept4(listener.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client.valid()) {
      continue;
    }
    // Given to the kernel whole or not at all: a reader that does not read cannot hold us up.
    const std::string text = text_();
    const int size = static_cast<int>(text.size());
    ::setsockopt(client.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    (void)!::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

absl::StatusOr<std::string> AskStatus(const std::filesystem::path& socket) {
  BRAMBLE_ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(socket));
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::UnavailableError(
        StrCat(socket.string(), ": ", ::strerror(errno), ": bramble-node does not run there"));
  }
  std::string text;
  char piece[16384];
  while (text.size() < kMaxStatusBytes) {
    pollfd waiting = {fd.get(), POLLIN, 0};
    if (::poll(&waiting, 1, kAskLimitMs) != 1) {
      return absl::DeadlineExceededError(StrCat(socket.string(), ": bramble-node does not answer"));
    }
    const ssize_t size = ::read(fd.get(), piece, sizeof(piece));
    if (size <= 0) {
      break;
    }
    text.append(piece, static_cast<size_t>(size));
  }
  return text;
}

}  // namespace bramble::node
