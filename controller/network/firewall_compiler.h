// SPDX-License-Identifier: Apache-2.0
#pragma once

// Security groups, as people write them, into what a node enforces: policies of rules over address
// sets.  Pure.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "api/node_network.h"
#include "api/security_group.h"

namespace bramble::controller {

// What counts of one container.
struct FilteredContainer {
  std::string project;
  std::vector<std::string> groups;  // by name; empty: `default`
  Ipv4 address;
  std::vector<Ipv4> floating;
};

// "p/PROJECT" and "g/PROJECT/GROUP".
std::string ProjectSetName(std::string_view project);
std::string GroupSetName(std::string_view project, std::string_view group);

// All groups compiled, and who is in which.  Made anew when groups or containers change; cheap: one
// pass over both.
class FirewallCompiler {
 public:
  FirewallCompiler(const std::vector<const api::SecurityGroup*>& groups,
                   const std::vector<FilteredContainer>& containers);

  // The policies that `containers` name, and the sets that those refer to: all that a node needs
  // that holds these containers.  In order of name.
  struct Needed {
    std::vector<api::FirewallPolicy> policies;
    std::vector<api::AddressSet> sets;
  };
  Needed NeededBy(const std::vector<const FilteredContainer*>& containers) const;

 private:
  std::map<std::string, api::FirewallPolicy, std::less<>> policies_;
  std::map<std::string, std::vector<Ipv4>, std::less<>> sets_;
};

// The rule, with its group or project as a set of `project`.
api::FirewallRule CompileRule(const api::SecurityRule& rule, std::string_view project);

// What holds for one container.  `find`: its project's group of that name, or nullptr.  `ports`:
// what its image opens.  A group that does not exist lets nothing through.
api::ContainerFirewall CompileContainer(
    const FilteredContainer& container, const std::vector<api::SecurityRule>& ports,
    const std::function<const api::SecurityGroup*(const std::string& group)>& find);

}  // namespace bramble::controller
