// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a change of the prefix or of its ranges does to every object that has an address.  Pure.

#include <set>
#include <string>
#include <vector>

#include "api/network.h"
#include "controller/network/address_plan.h"

namespace bramble::controller {

// Something with an address.
struct AddressHolder {
  std::string kind;  // "node", "container", "floating-ip", "reservation"
  std::string id;
  std::string name;
  Ipv4 address;
  api::AddressUse use = api::AddressUse::kContainers;
};

// Where everything goes.  An address that is still right stays; the others keep their place in the
// range of their use where it is free and there is one, and get the next free one otherwise.
// `in_use`: what machines that are not the cluster's have, and nobody is given.
// `refusals` names what finds no room, and is empty when the change can be done.
api::NetworkPlan PlanPrefixChange(const AddressPlan& from, const AddressPlan& to,
                                  const std::vector<AddressHolder>& holders,
                                  const std::set<Ipv4>& in_use = {});

}  // namespace bramble::controller
