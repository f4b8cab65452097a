// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the network's pure parts need to know, read from the model.

#include <optional>
#include <string>
#include <vector>

#include "controller/model/state.h"
#include "controller/network/firewall_compiler.h"
#include "controller/network/prefix_change.h"
#include "controller/network/zone.h"
#include "controller/seams.h"

namespace bramble::controller {

Ipv4 AddressOf(std::string_view text);  // empty: none

FilteredContainer FilteredOf(const ContainerRecord& record);
// What the image of `record` opens by its label `ports`; nothing when the label is malformed.
std::vector<api::SecurityRule> PortsOf(const State& state, const ContainerRecord& record);

// Everything that has an address, in order of kind and id.
std::vector<AddressHolder> AddressHolders(const State& state);
ZoneInput ZoneInputOf(const State& state, const AddressPlan& plan);

// "container \"web\"": for an error that says who holds an address; "" when nobody does.
std::string HolderText(const State& state, const std::string& address);
// "172.16.0.225 by container \"web\", …": the first few that hold one in `range`.
std::string HoldersText(const State& state, AddressRange range);

// An address of `range` that no object has; nullopt: there is none.
std::optional<Ipv4> FreeAddress(const State& state, AddressRange range);

NetworkOutputs OutputsOf(const State& state, const AddressPlan& plan, WallTime now);

}  // namespace bramble::controller
