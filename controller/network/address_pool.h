// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "controller/network/address_plan.h"

namespace bramble::controller {

// Keeps addresses ready that nobody was found to use, so that a new container does not wait for
// ARP.  Pure: says what to probe and is told the answer.  Addresses are handed out round the range,
// so that one just given back is the last to be used again.
class AddressPool {
 public:
  static constexpr size_t kReady = 128;
  static constexpr std::chrono::minutes kTakenFor{10};  // a foreign address is asked about again
  // Whether an address belongs to one of our own objects.
  using Owned = std::function<bool(uint32_t)>;

  AddressPool(AddressRange range, Owned owned) : range_(range), owned_(std::move(owned)) {}

  // What to probe now, so that kReady are ready once all are answered; each exactly once.
  std::vector<uint32_t> ToProbe(BootTime now);
  // The answer.  True: one more is ready.
  bool OnProbed(uint32_t address, bool in_use, BootTime now);
  // A ready address, which from now on is the caller's to own; nullopt: none is ready.
  std::optional<uint32_t> Take();
  // `address` (not ready yet perhaps) belongs to somebody now.
  void Claim(uint32_t address);

  // No address of the range is free, ready or being asked about.
  bool Exhausted() const { return exhausted_ && ready_.empty() && probing_.empty(); }
  // Addresses that something which is not ours uses.
  std::vector<uint32_t> Foreign() const;

 private:
  const AddressRange range_;
  const Owned owned_;
  std::deque<uint32_t> ready_;
  std::set<uint32_t> probing_;
  std::map<uint32_t, BootTime> foreign_;  // until when it is left alone
  uint32_t next_ = 0;                     // offset into the range
  bool exhausted_ = false;
};

}  // namespace bramble::controller
