// SPDX-License-Identifier: Apache-2.0
#include "controller/network/address_pool.h"

#include <algorithm>

namespace bramble::controller {

std::vector<uint32_t> AddressPool::ToProbe(BootTime now) {
  std::vector<uint32_t> chosen;
  std::erase_if(foreign_, [now](const auto& entry) { return entry.second <= now; });
  for (uint32_t tried = 0; tried < range_.size() && ready_.size() + probing_.size() < kReady;
       ++tried) {
    const uint32_t address = range_.first + next_;
    next_ = (next_ + 1) % range_.size();
    const bool ready = std::find(ready_.begin(), ready_.end(), address) != ready_.end();
    if (ready || probing_.contains(address) || foreign_.contains(address) || owned_(address)) {
      continue;
    }
    probing_.insert(address);
    chosen.push_back(address);
  }
  exhausted_ = chosen.empty() && ready_.empty() && probing_.empty();
  return chosen;
}

bool AddressPool::OnProbed(uint32_t address, bool in_use, BootTime now) {
  if (probing_.erase(address) == 0) {
    return false;
  }
  if (in_use) {
    foreign_[address] = now + kTakenFor;
    return false;
  }
  ready_.push_back(address);
  return true;
}

std::optional<uint32_t> AddressPool::Take() {
  while (!ready_.empty()) {
    const uint32_t address = ready_.front();
    ready_.pop_front();
    if (!owned_(address)) {
      return address;
    }
  }
  return std::nullopt;
}

void AddressPool::Claim(uint32_t address) {
  std::erase(ready_, address);
  probing_.erase(address);
}

std::vector<uint32_t> AddressPool::Foreign() const {
  std::vector<uint32_t> addresses;
  for (const auto& [address, until] : foreign_) {
    addresses.push_back(address);
  }
  return addresses;
}

}  // namespace bramble::controller
