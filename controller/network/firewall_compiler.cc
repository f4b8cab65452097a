// SPDX-License-Identifier: Apache-2.0
#include "controller/network/firewall_compiler.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace bramble::controller {
namespace {

const std::vector<std::string>& GroupsOf(const FilteredContainer& container) {
  static const std::vector<std::string> kDefault = {api::kDefaultGroup};
  return container.groups.empty() ? kDefault : container.groups;
}

}  // namespace

std::string ProjectSetName(std::string_view project) { return StrCat("p/", project); }

std::string GroupSetName(std::string_view project, std::string_view group) {
  return StrCat("g/", project, "/", group);
}

api::FirewallRule CompileRule(const api::SecurityRule& rule, std::string_view project) {
  api::FirewallRule compiled{.direction = rule.direction,
                             .protocol = rule.protocol,
                             .port_first = rule.port_first,
                             .port_last = rule.port_last,
                             .prefix = rule.prefix};
  if (rule.from_project) {
    compiled.set = ProjectSetName(project);
  } else if (!rule.group.empty()) {
    compiled.set = GroupSetName(project, rule.group);
  }
  return compiled;
}

api::ContainerFirewall CompileContainer(
    const FilteredContainer& container, const std::vector<api::SecurityRule>& ports,
    const std::function<const api::SecurityGroup*(const std::string& group)>& find) {
  api::ContainerFirewall firewall;
  for (const std::string& name : GroupsOf(container)) {
    firewall.policies.push_back(GroupSetName(container.project, name));
    if (const api::SecurityGroup* group = find(name)) {
      firewall.restrict_out =
          firewall.restrict_out ||
          std::any_of(group->rules.begin(), group->rules.end(),
                      [](const auto& rule) { return rule.direction == api::Direction::kOut; });
    }
  }
  for (const api::SecurityRule& rule : ports) {
    firewall.rules.push_back(CompileRule(rule, container.project));
  }
  return firewall;
}

FirewallCompiler::FirewallCompiler(const std::vector<const api::SecurityGroup*>& groups,
                                   const std::vector<FilteredContainer>& containers) {
  for (const api::SecurityGroup* group : groups) {
    const std::string name = GroupSetName(group->project.str(), group->name);
    api::FirewallPolicy& policy = policies_[name];
    policy.name = name;
    policy.rules.reserve(group->rules.size());
    for (const api::SecurityRule& rule : group->rules) {
      policy.rules.push_back(CompileRule(rule, group->project.str()));
    }
  }
  for (const FilteredContainer& container : containers) {
    std::vector<Ipv4> addresses = container.floating;
    if (!container.address.empty()) {
      addresses.push_back(container.address);
    }
    const auto join = [&](const std::string& set) {
      std::vector<Ipv4>& members = sets_[set];
      members.insert(members.end(), addresses.begin(), addresses.end());
    };
    join(ProjectSetName(container.project));
    for (const std::string& group : GroupsOf(container)) {
      join(GroupSetName(container.project, group));
    }
  }
  for (auto& [name, members] : sets_) {
    std::sort(members.begin(), members.end());
    members.erase(std::unique(members.begin(), members.end()), members.end());
  }
}

FirewallCompiler::Needed FirewallCompiler::NeededBy(
    const std::vector<const FilteredContainer*>& containers) const {
  std::set<std::string> policies;
  for (const FilteredContainer* container : containers) {
    for (const std::string& group : GroupsOf(*container)) {
      policies.insert(GroupSetName(container->project, group));
    }
  }
  Needed needed;
  std::set<std::string> sets;
  for (const std::string& name : policies) {
    const auto found = policies_.find(name);
    if (found == policies_.end()) {
      continue;
    }
    for (const api::FirewallRule& rule : found->second.rules) {
      if (!rule.set.empty()) {
        sets.insert(rule.set);
      }
    }
    needed.policies.push_back(found->second);
  }
  for (const std::string& name : sets) {
    const auto found = sets_.find(name);
    needed.sets.push_back(
        {.name = name, .addresses = found == sets_.end() ? std::vector<Ipv4>{} : found->second});
  }
  return needed;
}

}  // namespace bramble::controller
