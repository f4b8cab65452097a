// SPDX-License-Identifier: Apache-2.0
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/async_subprocess.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "base/timer.h"
#include "node/network/packet_filter.h"

namespace bramble::node {
namespace {

constexpr std::chrono::seconds kNftLimit{20};
constexpr std::chrono::seconds kCheck{30};
constexpr int kNoticeBytes = 1 << 20;
// Families, from linux/netfilter.h, which does not go together with netinet/in.h.
constexpr uint8_t kFamilyInet = 1;
constexpr uint8_t kFamilyBridge = 7;
constexpr std::string_view kTable = "bramble";
constexpr std::string_view kCountingSet = "dhcp_rate";  // the kernel itself changes it
constexpr char kBridgeCallsIptables[] = "/proc/sys/net/bridge/bridge-nf-call-iptables";
constexpr char kBridgeFiltersTagged[] = "/proc/sys/net/bridge/bridge-nf-filter-vlan-tagged";

// The text of attribute `type` of an nfnetlink message; empty: it has none.
std::string_view Attribute(std::string_view attributes, uint16_t type) {
  while (attributes.size() >= sizeof(nlattr)) {
    nlattr header;
    memcpy(&header, attributes.data(), sizeof(header));
    if (header.nla_len < sizeof(header) || header.nla_len > attributes.size()) {
      return {};
    }
    if ((header.nla_type & NLA_TYPE_MASK) == type) {
      std::string_view text = attributes.substr(sizeof(header), header.nla_len - sizeof(header));
      return text.substr(0, text.find('\0'));
    }
    attributes.remove_prefix(std::min<size_t>(attributes.size(), NLA_ALIGN(header.nla_len)));
  }
  return {};
}

// Whether this notice is of a change of our tables.  In every kind of them attribute 1 is the
// table's name.  Source: linux/netfilter/nf_tables.h.
bool IsOfOurs(const nlmsghdr& header, std::string_view payload) {
  static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
                NFTA_SET_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1 && NFTA_OBJ_TABLE == 1);
  const int type = NFNL_MSG_TYPE(header.nlmsg_type);
  if (NFNL_SUBSYS_ID(header.nlmsg_type) != NFNL_SUBSYS_NFTABLES || type == NFT_MSG_NEWGEN ||
      payload.size() < sizeof(nfgenmsg)) {
    return false;
  }
  payload.remove_prefix(sizeof(nfgenmsg));
  const bool element = type == NFT_MSG_NEWSETELEM || type == NFT_MSG_DELSETELEM;
  return Attribute(payload, NFTA_TABLE_NAME) == kTable &&
         !(element && Attribute(payload, NFTA_SET_ELEM_LIST_SET) == kCountingSet);
}

absl::StatusOr<Fd> OpenNetlink(unsigned groups) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER));
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (!fd.valid() ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus(errno, "netfilter's notices");
  }
  // More than the system's limit where we may; the limit where not.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kNoticeBytes, sizeof(kNoticeBytes));
  return fd;
}

// Whether our table of this family is in the kernel.
bool TableIsThere(uint8_t family) {
  const absl::StatusOr<Fd> fd = OpenNetlink(0);
  if (!fd.ok()) {
    return true;  // not known: as if
  }
  struct {
    nlmsghdr header;
    nfgenmsg generation;
    nlattr attribute;
    char name[8];
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.generation.nfgen_family = family;
  request.attribute.nla_len = sizeof(request.attribute) + sizeof(request.name);
  request.attribute.nla_type = NFTA_TABLE_NAME;
  memcpy(request.name, kTable.data(), kTable.size());
  char answer[4096];
  nlmsghdr header = {};
  if (::send(fd->get(), &request, sizeof(request), 0) < 0 ||
      ::recv(fd->get(), answer, sizeof(answer), MSG_DONTWAIT) <
          static_cast<ssize_t>(sizeof(header))) {
    return true;
  }
  memcpy(&header, answer, sizeof(header));
  return header.nlmsg_type != NLMSG_ERROR;
}

absl::Status SwitchOn() {
  std::error_code ignored;
  if (!std::filesystem::exists(kBridgeCallsIptables, ignored)) {
    const auto loaded = RunCommand({.argv = {"modprobe", "br_netfilter"}});
    if (!std::filesystem::exists(kBridgeCallsIptables, ignored)) {
      return absl::FailedPreconditionError(
          "firewall: this kernel has no br_netfilter, so security groups cannot be kept; load or "
          "build CONFIG_BRIDGE_NETFILTER");
    }
  }
  BRAMBLE_RETURN_IF_ERROR(WriteToExisting(kBridgeCallsIptables, "1"));
  return WriteToExisting(kBridgeFiltersTagged, "0");
}

}  // namespace

struct NftPacketFilter::Notices {
  asio::posix::stream_descriptor descriptor;
  std::array<char, 65536> buffer;
  bool touched = false;  // within the transaction that is being told

  struct Told {
    int changes = 0;    // transactions that touched our tables
    bool lost = false;  // notices were
    bool any() const { return changes > 0 || lost; }
  };

  // What was told since the last call.
  Told Drain() {
    Told told;
    while (true) {
      const ssize_t n =
          ::recv(descriptor.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n < 0 && errno == ENOBUFS) {
        told.lost = true;
        continue;
      }
      if (n <= 0) {
        return told;
      }
      told.changes += Read(std::string_view(buffer.data(), static_cast<size_t>(n)));
    }
  }

  int Read(std::string_view messages) {
    int changes = 0;
    nlmsghdr header;
    while (messages.size() >= sizeof(header)) {
      memcpy(&header, messages.data(), sizeof(header));
      if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > messages.size()) {
        break;
      }
      const std::string_view payload =
          messages.substr(sizeof(header), header.nlmsg_len - sizeof(header));
      touched = touched || IsOfOurs(header, payload);
      // The end of a transaction.
      if (header.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN)) {
        changes += std::exchange(touched, false) ? 1 : 0;
      }
      messages.remove_prefix(std::min<size_t>(messages.size(), NLMSG_ALIGN(header.nlmsg_len)));
    }
    return changes;
  }
};

absl::StatusOr<std::unique_ptr<NftPacketFilter>> NftPacketFilter::Open(asio::io_context& loop,
                                                                       Logger log) {
  BRAMBLE_RETURN_IF_ERROR(SwitchOn());
  BRAMBLE_ASSIGN_OR_RETURN(Fd fd, OpenNetlink(1U << (NFNLGRP_NFTABLES - 1)));
  auto notices = std::unique_ptr<Notices>(
      new Notices{.descriptor = asio::posix::stream_descriptor(loop, fd.Release())});
  return std::unique_ptr<NftPacketFilter>(new NftPacketFilter(loop, std::move(notices), log));
}

NftPacketFilter::NftPacketFilter(asio::io_context& loop, std::unique_ptr<Notices> notices,
                                 Logger log)
    : log_(log), notices_(std::move(notices)), scope_(loop, log) {
  Spawn(scope_, "nft_watch", Watch());
  Spawn(scope_, "nft_check", CheckNowAndThen());
}

NftPacketFilter::~NftPacketFilter() = default;

asio::awaitable<absl::Status> NftPacketFilter::Apply(std::string rules) {
  Command command{.argv = {"nft", "-f", "-"}, .input = std::move(rules), .deadline = kNftLimit};
  applying_ = true;
  notices_->Drain();
  absl::StatusOr<CommandResult> result = co_await RunCommandAsync(std::move(command));
  applying_ = false;
  // One transaction is ours.  Very many rules overflow the notices: then only the check below
  // tells.
  const Notices::Told told = notices_->Drain();
  if (!result.ok()) {
    co_return Annotate(result.status(), "firewall");
  }
  if (!result->exit.ok()) {
    co_return absl::InternalError(StrCat("firewall: nft ", result->exit.ToString(), ": ",
                                         std::string_view(result->err).substr(0, 500)));
  }
  in_force_ = true;
  const bool there = TableIsThere(kFamilyBridge) && TableIsThere(kFamilyInet);
  if (((told.changes > 1 && !told.lost) || !there) && listener_) {
    listener_();
  }
  co_return absl::OkStatus();
}

asio::awaitable<void> NftPacketFilter::Watch() {
  while (true) {
    co_await notices_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                             asio::use_awaitable);
    if (applying_) {
      // Apply reads them; without a pause this would spin.
      co_await SleepFor(std::chrono::milliseconds(5));
      continue;
    }
    if (notices_->Drain().any() && in_force_ && listener_) {
      listener_();
    }
  }
}

asio::awaitable<void> NftPacketFilter::CheckNowAndThen() {
  while (true) {
    co_await SleepFor(kCheck);
    if (in_force_ && !applying_ && listener_ &&
        !(TableIsThere(kFamilyBridge) && TableIsThere(kFamilyInet))) {
      listener_();
    }
  }
}

}  // namespace bramble::node
