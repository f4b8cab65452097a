// SPDX-License-Identifier: Apache-2.0
#include "controller/network/prefix_change.h"

#include <map>
#include <optional>
#include <set>

#include "base/strings.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxRefusals = 20;

class Allocation {
 public:
  explicit Allocation(const AddressPlan& plan) : plan_(plan) {}

  // False: it is somebody's already.
  bool Take(uint32_t address) { return taken_.insert(address).second; }

  std::optional<uint32_t> Next(api::AddressUse use) {
    const AddressRange range = plan_.Range(use);
    uint32_t& next = next_[use];
    for (; next < range.size(); ++next) {
      if (Take(range.first + next)) {
        return range.first + next;
      }
    }
    return std::nullopt;
  }

 private:
  const AddressPlan& plan_;
  std::set<uint32_t> taken_;
  std::map<api::AddressUse, uint32_t> next_;
};

// The address at the same place of the range of its use.
std::optional<uint32_t> SamePlace(const AddressPlan& from, const AddressPlan& to,
                                  const AddressHolder& holder) {
  const AddressRange before = from.Range(holder.use);
  const AddressRange after = to.Range(holder.use);
  const uint32_t bits = holder.address.bits();
  if (!before.Contains(bits) || bits - before.first >= after.size()) {
    return std::nullopt;
  }
  return after.first + (bits - before.first);
}

}  // namespace

api::NetworkPlan PlanPrefixChange(const AddressPlan& from, const AddressPlan& to,
                                  const std::vector<AddressHolder>& holders,
                                  const std::set<Ipv4>& in_use) {
  api::NetworkPlan plan{.prefix = to.prefix(), .ranges = to.Ranges()};
  const Ipv4 old_gateway = Ipv4::Parse(from.gateway()).value_or(Ipv4());
  const Ipv4 new_gateway = Ipv4::Parse(to.gateway()).value_or(Ipv4());
  if (old_gateway != new_gateway) {
    if (in_use.contains(new_gateway)) {
      plan.refusals.push_back(StrCat("the controller: ", to.gateway(),
                                     " is used by a machine that is not the cluster's"));
    }
    plan.moves.push_back({"controller", "", "controller", old_gateway, new_gateway});
  }
  Allocation allocation(to);
  for (const Ipv4 foreign : in_use) {
    allocation.Take(foreign.bits());
  }
  std::vector<const AddressHolder*> moving;
  for (const AddressHolder& holder : holders) {
    const uint32_t bits = holder.address.bits();
    const bool stays = to.Range(holder.use).Contains(bits) && to.CheckUsable(holder.address).ok();
    if (!stays || !allocation.Take(bits)) {
      moving.push_back(&holder);
    }
  }
  std::map<const AddressHolder*, uint32_t> places;
  for (const AddressHolder* holder : moving) {
    const std::optional<uint32_t> same = SamePlace(from, to, *holder);
    if (same.has_value() && allocation.Take(*same)) {
      places[holder] = *same;
    }
  }
  for (const AddressHolder* holder : moving) {
    auto place = places.find(holder);
    if (place == places.end()) {
      const std::optional<uint32_t> next = allocation.Next(holder->use);
      if (!next.has_value()) {
        if (plan.refusals.size() < kMaxRefusals) {
          plan.refusals.push_back(
              StrCat(holder->kind, " \"", holder->name, "\" (", holder->address.str(),
                     "): the range for ", api::kAddressUseNames[static_cast<size_t>(holder->use)],
                     " has only ", to.Range(holder->use).size(), " addresses in ",
                     to.prefix().str(), in_use.empty() ? "" : ", and others use some of them"));
        }
        continue;
      }
      place = places.emplace(holder, *next).first;
    }
    plan.moves.push_back(
        {holder->kind, holder->id, holder->name, holder->address, Ipv4(place->second)});
  }
  return plan;
}

}  // namespace bramble::controller
