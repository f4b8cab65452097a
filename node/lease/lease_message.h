// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the agent and bramble-lease-holder say to each other: packets of one size on a unix
// seqpacket socket.  Both come from one package; kLeaseProtocol tells an agent that was upgraded
// from a holder that was not.
//
//   agent  -> holder   kHello                 answered by kState
//                      kHold + a pidfd        this movable container runs: `id`, `halt_signal`
//                      kRelease               it does not any more
//                      kBegin … kEnd          what was not named by kHold in between is released
//                      kRenew                 the lease runs until `deadline_ns` (CLOCK_BOOTTIME)
//   holder -> agent    kState                 the deadline that it goes by, how many it holds

#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace bramble::node {

inline constexpr uint32_t kLeaseProtocol = 0x62726c31;  // "brl1"
inline constexpr size_t kMaxLeaseIdBytes = 40;

enum class LeaseMessageKind : uint32_t { kHello, kHold, kRelease, kBegin, kEnd, kRenew, kState };

struct LeaseMessage {
  uint32_t protocol = kLeaseProtocol;
  LeaseMessageKind kind = LeaseMessageKind::kHello;
  int64_t deadline_ns = 0;  // 0: no lease was ever given
  int64_t stop_ms = 0;      // from the deadline to the kill
  int32_t halt_signal = 0;
  uint32_t count = 0;
  char id[kMaxLeaseIdBytes + 8] = {};

  void set_id(std::string_view text) {
    const size_t size = text.size() < kMaxLeaseIdBytes ? text.size() : kMaxLeaseIdBytes;
    std::memcpy(id, text.data(), size);
    id[size] = '\0';
  }
  std::string_view id_view() const { return std::string_view(id, ::strnlen(id, kMaxLeaseIdBytes)); }
};
static_assert(std::is_trivially_copyable_v<LeaseMessage>);

}  // namespace bramble::node
