// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/network.h"
#include "api/project.h"

namespace bramble::api {

enum class Direction { kIn, kOut };
inline constexpr std::string_view kDirectionNames[] = {"in", "out"};

enum class Protocol { kAny, kTcp, kUdp, kIcmp };
inline constexpr std::string_view kProtocolNames[] = {"any", "tcp", "udp", "icmp"};

// Lets something through.  Answers always come through; what no rule of a container's groups lets
// in is dropped; what goes out is open until a group of the container has a rule for it.
// At most one of prefix, group and from_project says who the other side is; none: anybody.
struct SecurityRule {
  Direction direction = Direction::kIn;
  Protocol protocol = Protocol::kAny;
  uint16_t port_first = 0;  // 0: every port; only for tcp and udp
  uint16_t port_last = 0;
  std::optional<Ipv4Prefix> prefix;
  std::string group;          // containers of this group, of the same project
  bool from_project = false;  // every container of the project
  std::string note;
  friend bool operator==(const SecurityRule&, const SecurityRule&) = default;
};

inline constexpr size_t kMaxRulesPerGroup = 10'000;
inline constexpr size_t kMaxGroupsPerContainer = 16;
inline constexpr size_t kMaxSecurityGroups = 1'000;
inline constexpr size_t kMaxRules = 100'000;  // of all groups
inline constexpr char kDefaultGroup[] = "default";

// A named set of rules: /v1/security-groups/{name}.  A container has one or more.
struct SecurityGroup {
  std::string name;  // a DNS label
  ProjectName project = ProjectName::Trusted(kDefaultProject);
  uint64_t generation = 1;
  std::string description;
  bool builtin = false;  // shipped: its rules can be changed, it cannot be deleted
  std::vector<SecurityRule> rules;
  friend bool operator==(const SecurityGroup&, const SecurityGroup&) = default;
};

// default: everything from the project; web: tcp 80 and 443; ssh: tcp 22.
std::vector<SecurityGroup> BuiltinSecurityGroups(const ProjectName& project);

// "in tcp 80", "in tcp 8000-8100 from 10.0.0.0/8", "in any from group db", "out udp 53 to
// 172.16.0.1/32", "in any from project": as the CLI takes it and shows it.
absl::StatusOr<SecurityRule> ParseSecurityRule(std::string_view text);
std::string ToString(const SecurityRule& rule);

json::object ToJson(const SecurityRule& rule);
absl::StatusOr<SecurityRule> SecurityRuleFromJson(const json::value& value, std::string path,
                                                  UnknownKeys unknown = UnknownKeys::kIgnore);
json::object ToJson(const SecurityGroup& group);
absl::StatusOr<SecurityGroup> SecurityGroupFromJson(const json::value& value,
                                                    std::string path = "security group",
                                                    UnknownKeys unknown = UnknownKeys::kIgnore);

// "80,443", "80/tcp,53/udp,8000-8100": an image's label `ports`, as rules from anybody.
inline constexpr char kPortsLabel[] = "ports";
absl::StatusOr<std::vector<SecurityRule>> ParsePortsLabel(std::string_view text);

}  // namespace bramble::api
