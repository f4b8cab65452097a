// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a node comes to its own address and keeps it: takes one of a range by a hash of its serial
// number, asks by ARP whether it is free, announces it, and defends it.  Pure: the caller brings
// time and frames and sends what it is told to.
//
// RFC 5227 with shorter times: a switch of a classroom answers within a millisecond, and a node
// must not wait seconds at every boot.  Who is deaf then (spanning tree at a switch's port) is
// found later, by the conflict that it shows.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "node/network/arp_frame.h"

namespace bramble::node {

// The addresses from `first` to `last`, both of them.
struct AddressSpan {
  Ipv4 first;
  Ipv4 last;
  uint32_t size() const { return first > last ? 0 : last.bits() - first.bits() + 1; }
  bool Contains(Ipv4 address) const { return address >= first && address <= last; }
};

// The share of the cluster's prefix that is for nodes: .11 to .63 of a /24.
AddressSpan NodeRangeOf(Ipv4Prefix prefix);

// The `attempt`-th choice of a node with this serial number: attempts are all different until the
// range is used up, and other serials have another order.  `range` is not empty.
Ipv4 ChooseAddress(std::string_view serial, AddressSpan range, uint32_t attempt);

class AddressClaim {
 public:
  struct Options {
    MacAddress mac;
    std::string serial;
    AddressSpan range;  // empty: nothing is chosen by itself
    // Tried first: what the journal remembers, or the controller said.
    std::optional<Ipv4> preferred;
    // It was set by a person, or the controller said so: defended, and never given up.
    bool firm = false;
    bool held = false;  // `preferred` is in use already: announced and defended, not asked for
    int probes = 3;
    std::chrono::milliseconds between_probes{200};
    std::chrono::milliseconds after_last_probe{400};
    int announcements = 2;
    std::chrono::milliseconds between_announcements{2'000};
    std::chrono::milliseconds defend_interval{10'000};  // RFC 5227, DEFEND_INTERVAL
    uint32_t max_conflicts = 10;                        // RFC 5227, MAX_CONFLICTS
    std::chrono::milliseconds rate_limit{60'000};       // RFC 5227, RATE_LIMIT_INTERVAL
  };
  enum class State { kIdle, kProbing, kHeld };

  explicit AddressClaim(Options options) : options_(std::move(options)) {}

  // What is to be sent now; empty: nothing.  Call at the start, after OnFrame, and when NextWake()
  // has come.
  std::vector<ArpFrame> Poll(BootTime now);
  std::optional<BootTime> NextWake() const { return wake_; }
  void OnFrame(const ArpFrame& frame, BootTime now);
  // The link came up again: what is held is announced anew, which also shows whether someone took
  // it meanwhile.
  void OnLinkUp(BootTime now);

  State state() const { return state_; }
  // Of kHeld: ours.
  std::optional<Ipv4> address() const {
    return state_ == State::kHeld ? std::optional(candidate_) : std::nullopt;
  }
  // Another station uses our address: its MAC.  Forgotten after a quiet minute.
  std::optional<MacAddress> rival() const { return rival_; }

 private:
  void Begin(Ipv4 candidate, BootTime at);
  void NextCandidate(BootTime now);
  void OnConflict(const MacAddress& by, BootTime now);

  Options options_;
  State state_ = State::kIdle;
  Ipv4 candidate_;
  bool started_ = false;
  uint32_t attempt_ = 0;
  uint32_t conflicts_ = 0;
  int sent_ = 0;  // probes, or announcements
  bool defend_ = false;
  std::optional<BootTime> defended_;
  std::optional<BootTime> wake_;
  std::optional<MacAddress> rival_;
  BootTime rival_seen_{};
};

}  // namespace bramble::node
