// SPDX-License-Identifier: Apache-2.0
#include "node/network/link_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/fd.h"
#include "base/status.h"

namespace bramble::node {
namespace {

std::string NameIn(std::string_view attributes) {
  rtattr header;
  while (attributes.size() >= sizeof(header)) {
    memcpy(&header, attributes.data(), sizeof(header));
    if (header.rta_len < sizeof(header) || header.rta_len > attributes.size()) {
      break;
    }
    if (header.rta_type == IFLA_IFNAME) {
      const std::string_view text =
          attributes.substr(sizeof(header), header.rta_len - sizeof(header));
      return std::string(text.substr(0, text.find('\0')));
    }
    attributes.remove_prefix(std::min<size_t>(attributes.size(), RTA_ALIGN(header.rta_len)));
  }
  return "";
}

}  // namespace

struct LinkWatch::Socket {
  asio::posix::stream_descriptor descriptor;
};

absl::StatusOr<std::unique_ptr<LinkWatch>> LinkWatch::Open(
    asio::io_context& loop, std::function<void(const LinkChange&)> listener, Logger log) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (!fd.valid() ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus(errno, "notices of network interfaces");
  }
  auto socket = std::unique_ptr<Socket>(
      new Socket{.descriptor = asio::posix::stream_descriptor(loop, fd.Release())});
  return std::unique_ptr<LinkWatch>(
      new LinkWatch(loop, std::move(socket), std::move(listener), log));
}

LinkWatch::LinkWatch(asio::io_context& loop, std::unique_ptr<Socket> socket,
                     std::function<void(const LinkChange&)> listener, Logger log)
    : socket_(std::move(socket)), listener_(std::move(listener)), scope_(loop, log) {
  Spawn(scope_, "link_watch", Read());
}

LinkWatch::~LinkWatch() = default;

asio::awaitable<void> LinkWatch::Read() {
  std::array<char, 32768> buffer;
  while (true) {
    co_await socket_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                            asio::use_awaitable);
    const ssize_t n =
        ::recv(socket_->descriptor.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n <= 0) {
      if (errno == ENOBUFS) {
        listener_({.unknown = true});
      }
      continue;
    }
    std::string_view messages(buffer.data(), static_cast<size_t>(n));
    nlmsghdr header;
    while (messages.size() >= sizeof(header)) {
      memcpy(&header, messages.data(), sizeof(header));
      if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > messages.size()) {
        break;
      }
      const std::string_view payload =
          messages.substr(sizeof(header), header.nlmsg_len - sizeof(header));
      ifinfomsg info;
      const bool is_link = header.nlmsg_type == RTM_NEWLINK || header.nlmsg_type == RTM_DELLINK;
      if (is_link && payload.size() >= sizeof(info)) {
        memcpy(&info, payload.data(), sizeof(info));
        // A port that leaves a bridge is told as a deletion too, of family AF_BRIDGE.
        if (info.ifi_family == AF_UNSPEC) {
          listener_({.name = NameIn(payload.substr(sizeof(info))),
                     .gone = header.nlmsg_type == RTM_DELLINK,
                     .running = (info.ifi_flags & IFF_RUNNING) != 0});
        }
      }
      messages.remove_prefix(std::min<size_t>(messages.size(), NLMSG_ALIGN(header.nlmsg_len)));
    }
  }
}

}  // namespace bramble::node
