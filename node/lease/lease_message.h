// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the agent and bramble-lease-holder say to each other: packets of one size on a unix
// seqpacket socket.  Both come from one package; kLeaseProtocol tells an agent that was upgraded
// from a holder that was not.
//
//   agent  -> holder   kHello                 answered by kState
//                      kHold [+ a pidfd]      this movable container runs, or is about to be
//                      started:
//                                             `id`, `group`; with the pidfd of its init:
//                                             `halt_signal`
//                      kRelease               it does not any more
//                      kBegin … kEnd          what was not named by kHold in between is released
//                      kRenew                 the lease runs until `deadline_ns` (CLOCK_BOOTTIME)
//   holder -> agent    kState                 the deadline that it goes by, how many it holds

#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace bramble::node {

inline constexpr uint32_t kLeaseProtocol = 0x62726c32;  // "brl2"
inline constexpr size_t kMaxLeaseIdBytes = 40;
inline constexpr size_t kMaxLeaseGroupBytes = 248;

enum class LeaseMessageKind : uint32_t { kHello, kHold, kRelease, kBegin, kEnd, kRenew, kState };

struct LeaseMessage {
  uint32_t protocol = kLeaseProtocol;
  LeaseMessageKind kind = LeaseMessageKind::kHello;
  int64_t deadline_ns = 0;  // 0: no lease was ever given
  int64_t stop_ms = 0;      // from the deadline to the kill
  int32_t halt_signal = 0;
  uint32_t count = 0;
  char id[kMaxLeaseIdBytes + 8] = {};
  // The cgroup directory that all of the container's processes are in or below, from its first on.
  char group[kMaxLeaseGroupBytes + 8] = {};

  void set_id(std::string_view text) { Set(id, kMaxLeaseIdBytes, text); }
  std::string_view id_view() const { return std::string_view(id, ::strnlen(id, kMaxLeaseIdBytes)); }
  // Nothing is set when `text` is too long: half a path would name another group.
  void set_group(std::string_view text) {
    if (text.size() <= kMaxLeaseGroupBytes) {
      Set(group, kMaxLeaseGroupBytes, text);
    }
  }
  std::string_view group_view() const {
    return std::string_view(group, ::strnlen(group, kMaxLeaseGroupBytes));
  }

 private:
  static void Set(char* to, size_t most, std::string_view text) {
    const size_t size = text.size() < most ? text.size() : most;
    std::memcpy(to, text.data(), size);
    to[size] = '\0';
  }
};
static_assert(std::is_trivially_copyable_v<LeaseMessage>);

}  // namespace bramble::node
