// SPDX-License-Identifier: Apache-2.0
#include "node/lease/lease_connection.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

#include "base/status.h"

namespace bramble::node {

absl::StatusOr<LeaseConnection> LeaseConnection::Connect(const std::filesystem::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = socket.string();
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        StrCat(path, ": longer than a socket's path may be; choose a shorter run directory"));
  }
  path.copy(address.sun_path, path.size());
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    return ErrnoStatus(errno, path);
  }
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::UnavailableError(ErrnoStatus(errno, path).message());
  }
  return LeaseConnection(std::move(fd));
}

absl::Status LeaseConnection::Send(const LeaseMessage& message, int attached) {
  LeaseMessage copy = message;
  iovec piece = {&copy, sizeof(copy)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  if (attached >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &attached, sizeof(attached));
  }
  if (::sendmsg(fd_.get(), &header, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof(copy))) {
    return absl::UnavailableError(ErrnoStatus(errno, "lease holder").message());
  }
  return absl::OkStatus();
}

absl::Status LeaseConnection::Hold(std::string_view id, int pidfd, int halt_signal,
                                   std::string_view group) {
  LeaseMessage message{.kind = LeaseMessageKind::kHold, .halt_signal = halt_signal};
  message.set_id(id);
  message.set_group(group);
  if (pidfd < 0 && message.group_view().empty()) {
    return absl::InvalidArgumentError(
        StrCat("container ", id, ": neither a process nor a cgroup that a lease could end"));
  }
  return Send(message, pidfd);
}

absl::Status LeaseConnection::Release(std::string_view id) {
  LeaseMessage message{.kind = LeaseMessageKind::kRelease};
  message.set_id(id);
  return Send(message);
}

absl::Status LeaseConnection::Begin() { return Send({.kind = LeaseMessageKind::kBegin}); }
absl::Status LeaseConnection::End() { return Send({.kind = LeaseMessageKind::kEnd}); }
absl::Status LeaseConnection::Hello() { return Send({.kind = LeaseMessageKind::kHello}); }

absl::Status LeaseConnection::Renew(BootTime deadline, std::chrono::milliseconds stop) {
  return Send({.kind = LeaseMessageKind::kRenew,
               .deadline_ns = deadline.time_since_epoch().count(),
               .stop_ms = stop.count()});
}

absl::StatusOr<std::optional<LeaseMessage>> LeaseConnection::Receive() {
  LeaseMessage message;
  const ssize_t size = ::recv(fd_.get(), &message, sizeof(message), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    return std::nullopt;
  }
  if (size != sizeof(message) || message.protocol != kLeaseProtocol) {
    return absl::UnavailableError("lease holder: gone, or of another version");
  }
  return message;
}

}  // namespace bramble::node
