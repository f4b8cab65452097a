// SPDX-License-Identifier: Apache-2.0
#include "controller/network/zone.h"

#include <algorithm>

#include "api/project.h"
#include "base/ids.h"
#include "base/strings.h"

namespace bramble::controller {
namespace {

constexpr char kController[] = "controller";

class Zone {
 public:
  // `labels` with dots between, below the domain.
  void Add(const std::string& labels, Ipv4 address) {
    if (address.empty()) {
      return;
    }
    const bool first = named_.insert(address).second;
    records_.push_back({StrCat(labels, ".", kDomain), address, first});
  }
  std::vector<api::NameRecord> Take() {
    const auto before = [](const api::NameRecord& a, const api::NameRecord& b) {
      return a.name != b.name ? a.name < b.name : a.address < b.address;
    };
    std::sort(records_.begin(), records_.end(), before);
    return std::move(records_);
  }

 private:
  std::vector<api::NameRecord> records_;
  std::set<Ipv4> named_;
};

bool IsLabel(std::string_view text) { return CheckName("name", text).ok(); }

void AddContainer(const ZoneInput::Container& container, Zone& zone) {
  if (!IsLabel(container.name) || !IsLabel(container.project)) {
    return;
  }
  zone.Add(StrCat(container.name, ".", container.project), container.address);
  if (container.project == api::kDefaultProject && container.name != kController) {
    zone.Add(container.name, container.address);
  }
  for (const Ipv4 floating : container.floating) {
    zone.Add(StrCat(container.name, "-floating.", container.project), floating);
  }
  if (IsLabel(container.service)) {
    zone.Add(StrCat(container.service, ".service"), container.address);
  }
}

}  // namespace

std::vector<api::NameRecord> BuildZone(const ZoneInput& input) {
  Zone zone;
  zone.Add(kController, input.controller);
  for (const ZoneInput::Node& node : input.nodes) {
    if (IsLabel(node.name)) {
      zone.Add(StrCat(node.name, ".node"), node.address);
    }
  }
  std::set<std::string> taken = {kController};
  for (const ZoneInput::Container& container : input.containers) {
    AddContainer(container, zone);
    if (container.project == api::kDefaultProject && !container.address.empty()) {
      taken.insert(container.name);
    }
  }
  for (const ZoneInput::Reserved& reserved : input.reservations) {
    if (IsLabel(reserved.name) && taken.insert(reserved.name).second) {
      zone.Add(reserved.name, reserved.address);
    }
  }
  return zone.Take();
}

}  // namespace bramble::controller
