// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_security_groups.h"

#include <algorithm>

#include "api/problem.h"
#include "base/status.h"
#include "controller/network_services.h"
#include "controller/network_view.h"

namespace bramble::controller {
namespace {

Listing<SecurityGroupRecord> GroupListing() {
  return {.keys = {"name", "project", "builtin"},
          .field = [](const SecurityGroupRecord& record, std::string_view key) -> std::string {
            if (key == "name") return record.api.name;
            if (key == "project") return record.api.project.str();
            return record.api.builtin ? "true" : "false";
          },
          .project = [](const SecurityGroupRecord& record) { return record.api.project.str(); },
          .order = [](const SecurityGroupRecord& record) { return record.Id(); }};
}

// The project's containers that have the group.
std::vector<const ContainerRecord*> Members(const State& state, const api::SecurityGroup& group) {
  std::vector<const ContainerRecord*> members;
  for (const auto& [id, entry] : state.containers().entries()) {
    const api::Container& container = entry.record.api;
    const std::vector<std::string>& groups = container.spec.groups;
    const bool has = groups.empty()
                         ? group.name == api::kDefaultGroup
                         : std::find(groups.begin(), groups.end(), group.name) != groups.end();
    if (has && container.project == group.project) {
      members.push_back(&entry.record);
    }
  }
  return members;
}

absl::Status AddAndRemove(const SecurityGroupService::Update& update, api::SecurityGroup& group) {
  for (const api::SecurityRule& rule : update.remove) {
    const auto found = std::find(group.rules.begin(), group.rules.end(), rule);
    if (found == group.rules.end()) {
      return absl::NotFoundError(StrCat("security group \"", group.name, "\": has no rule \"",
                                        ToString(rule), "\"; `bramble security-group show ",
                                        group.name, "` lists them"));
    }
    group.rules.erase(found);
  }
  for (const api::SecurityRule& rule : update.add) {
    if (std::find(group.rules.begin(), group.rules.end(), rule) != group.rules.end()) {
      return absl::AlreadyExistsError(StrCat("security group \"", group.name, "\": has the rule \"",
                                             ToString(rule), "\" already"));
    }
    group.rules.push_back(rule);
  }
  return absl::OkStatus();
}

}  // namespace

LedgerSecurityGroups::LedgerSecurityGroups(Ledger& ledger, Fleet& fleet)
    : ledger_(ledger), fleet_(fleet), list_(GroupListing()) {}

absl::Status LedgerSecurityGroups::Check(const State& state, std::string_view project,
                                         const std::vector<std::string>& groups) {
  for (const std::string& group : groups) {
    if (state.security_groups().Find(StrCat(project, "/", group)) == nullptr) {
      return absl::NotFoundError(StrCat("security group \"", group,
                                        "\": not found; `bramble security-group list` shows what "
                                        "there is"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<const SecurityGroupRecord*> LedgerSecurityGroups::Find(const Principal& who,
                                                                      Access access,
                                                                      const ProjectKey& key) const {
  const SecurityGroupRecord* record =
      ledger_.state().security_groups().Find(StrCat(key.project, "/", key.name));
  if (record == nullptr || !May(who, access, key.project)) {
    return NotFound("security group", key.name);
  }
  return record;
}

absl::StatusOr<Rendered> LedgerSecurityGroups::Get(const Principal& who, const ProjectKey& key) {
  BRAMBLE_ASSIGN_OR_RETURN(const SecurityGroupRecord* record, Find(who, Access::kRead, key));
  return Rendered{ledger_.Body(ledger_.state().security_groups(), record->Id()),
                  record->api.generation};
}

absl::StatusOr<Rendered> LedgerSecurityGroups::List(const Principal& who, const ListQuery& query) {
  return list_.Page(ledger_, ledger_.state().security_groups(), who, query);
}

absl::Status LedgerSecurityGroups::CheckRules(const api::SecurityGroup& group) const {
  size_t all = group.rules.size();
  for (const auto& [id, entry] : ledger_.state().security_groups().entries()) {
    if (entry.record.api.name != group.name || entry.record.api.project != group.project) {
      all += entry.record.api.rules.size();
    }
  }
  if (group.rules.size() > api::kMaxRulesPerGroup || all > api::kMaxRules) {
    return api::WithCode(absl::ResourceExhaustedError(StrCat(
                             "security group \"", group.name, "\": ", group.rules.size(),
                             " rules; a group has at "
                             "most ",
                             api::kMaxRulesPerGroup, " and all groups together ", api::kMaxRules,
                             "; use prefixes and port ranges, or groups as the other side")),
                         api::kCodeTooManyRules);
  }
  for (const api::SecurityRule& rule : group.rules) {
    if (!rule.group.empty() && rule.group != group.name) {
      BRAMBLE_RETURN_IF_ERROR(Annotate(Check(ledger_.state(), group.project.str(), {rule.group}),
                                       StrCat("rule \"", ToString(rule), "\"")));
    }
  }
  return absl::OkStatus();
}

Written LedgerSecurityGroups::Put(Change& change, SecurityGroupRecord record,
                                  std::string_view event) {
  const std::string id = record.Id();
  const uint64_t generation = record.api.generation;
  change.AddEvent(std::string(event), ReferenceTo(record),
                  StrCat(record.api.rules.size(), " rules"));
  change.Put(std::move(record));
  const api::SecurityGroup& group = ledger_.state().security_groups().Find(id)->api;
  for (const ContainerRecord* member : Members(ledger_.state(), group)) {
    fleet_.Refresh(change, *member);
  }
  return {.object = ledger_.Body(ledger_.state().security_groups(), id), .generation = generation};
}

void LedgerSecurityGroups::Create(const Principal& who, api::SecurityGroup group,
                                  WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    const std::string& project = group.project.str();
    if (ledger_.state().projects().Find(project) == nullptr || !May(who, Access::kWrite, project)) {
      return NotFound("project", project);
    }
    SecurityGroupRecord record{group};
    record.api.generation = 1;
    record.api.builtin = false;
    const Table<SecurityGroupRecord>& groups = ledger_.state().security_groups();
    if (groups.Find(record.Id()) != nullptr) {
      return absl::AlreadyExistsError(
          StrCat("security group \"", group.name, "\": exists already; choose another name"));
    }
    if (groups.size() >= api::kMaxSecurityGroups) {
      return absl::ResourceExhaustedError(
          StrCat("there are ", api::kMaxSecurityGroups, " security groups already"));
    }
    BRAMBLE_RETURN_IF_ERROR(CheckRules(record.api));
    return Put(change, std::move(record), "security-group.created");
  };
  ledger_.Write(who, "security-group.create", options, std::move(done), apply);
}

void LedgerSecurityGroups::Alter(const Principal& who, const ProjectKey& key, Update update,
                                 WriteOptions options, WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const SecurityGroupRecord* found, Find(who, Access::kWrite, key));
    BRAMBLE_RETURN_IF_ERROR(
        CheckIfMatch(options, found->api.generation, "security group", key.name));
    SecurityGroupRecord record = *found;
    record.api.description = update.description.value_or(record.api.description);
    record.api.rules = update.rules.value_or(record.api.rules);
    BRAMBLE_RETURN_IF_ERROR(AddAndRemove(update, record.api));
    BRAMBLE_RETURN_IF_ERROR(CheckRules(record.api));
    ++record.api.generation;
    return Put(change, std::move(record), "security-group.changed");
  };
  ledger_.Write(who, "security-group.change", options, std::move(done), apply);
}

void LedgerSecurityGroups::Delete(const Principal& who, const ProjectKey& key, WriteOptions options,
                                  WriteDone done) {
  auto apply = [&](Change& change) -> absl::StatusOr<Written> {
    BRAMBLE_ASSIGN_OR_RETURN(const SecurityGroupRecord* record, Find(who, Access::kWrite, key));
    BRAMBLE_RETURN_IF_ERROR(
        CheckIfMatch(options, record->api.generation, "security group", key.name));
    if (record->api.builtin) {
      return absl::FailedPreconditionError(StrCat("security group \"", key.name,
                                                  "\" is shipped with Bramble and stays; its rules "
                                                  "can be changed"));
    }
    const auto in_use = [&key](std::string_view by) {
      return api::WithCode(
          absl::FailedPreconditionError(StrCat("security group \"", key.name, "\": is used by ", by,
                                               "; take it away there first")),
          api::kCodeGroupInUse);
    };
    if (const auto members = Members(ledger_.state(), record->api); !members.empty()) {
      return in_use(
          StrCat("container \"", members.front()->api.name.str(), "\"",
                 members.size() == 1 ? "" : StrCat(" and ", members.size() - 1, " more")));
    }
    for (const auto& [id, entry] : ledger_.state().security_groups().entries()) {
      for (const api::SecurityRule& rule : entry.record.api.rules) {
        if (rule.group == key.name && id != record->Id() &&
            entry.record.api.project == record->api.project) {
          return in_use(
              StrCat("the rule \"", ToString(rule), "\" of group \"", entry.record.api.name, "\""));
        }
      }
    }
    change.AddEvent("security-group.deleted", ReferenceTo(*record), "");
    change.Erase(RowKind::kSecurityGroup, std::string(record->Id()));
    return Written{};
  };
  ledger_.Write(who, "security-group.delete", options, std::move(done), apply);
}

}  // namespace bramble::controller
