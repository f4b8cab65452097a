// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/network_link.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "base/status.h"

namespace bramble::node {

absl::Status DeleteLink(const std::string& name) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) {
    return absl::OkStatus();
  }
  const Fd socket_fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  struct {
    nlmsghdr header;
    ifinfomsg link;
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_DELLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.link.ifi_index = static_cast<int>(index);
  char answer[4096];
  if (!socket_fd.valid() || send(socket_fd.get(), &request, sizeof(request), 0) < 0) {
    return absl::InternalError(StrCat("interface ", name, ": ", strerror(errno)));
  }
  const ssize_t n = recv(socket_fd.get(), answer, sizeof(answer), 0);
  nlmsghdr header = {};
  nlmsgerr error = {};
  if (n < static_cast<ssize_t>(sizeof(header) + sizeof(error))) {
    return absl::InternalError(StrCat("interface ", name, ": no answer of the kernel"));
  }
  memcpy(&header, answer, sizeof(header));
  memcpy(&error, answer + sizeof(header), sizeof(error));
  if (header.nlmsg_type == NLMSG_ERROR && error.error != 0 && error.error != -ENODEV) {
    return absl::InternalError(
        StrCat("interface ", name, ": cannot delete: ", strerror(-error.error)));
  }
  return absl::OkStatus();
}

}  // namespace bramble::node
