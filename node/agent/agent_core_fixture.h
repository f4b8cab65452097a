// SPDX-License-Identifier: Apache-2.0
#pragma once

// A make-believe node around AgentCore, for its tests.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/agent/agent_core.h"

namespace bramble::node {

inline constexpr char kDigest[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
inline constexpr char kOtherDigest[] =
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

inline ContainerId Id(std::string text) { return ContainerId::Trusted(std::move(text)); }

inline api::NodeContainer Pinned(std::string name) {
  api::NodeContainer container;
  container.id = Id("c-" + name);
  container.name = ContainerName::Trusted(name);
  container.project = ProjectName::Trusted("default");
  container.spec.image = "busybox";
  container.image_digest = kDigest;
  return container;
}

inline api::NodeContainer Movable(std::string name) {
  api::NodeContainer container = Pinned(std::move(name));
  container.spec.placement.placement_class = api::PlacementClass::kMovable;
  return container;
}

// A node around the core: a runtime that works at once, images, a journal; what a power cut leaves
// and what it takes.
struct World {
  // ---- survives a power cut
  std::map<ContainerId, HeldContainer> held;
  std::map<ContainerId, int> layers;  // how often each writable layer was made
  std::set<std::string> images = {kDigest};
  api::Version journal_version;
  std::vector<api::NodeContainer> journal_desired;
  std::vector<ContainerId> journal_tombstones;
  // ---- does not
  std::map<ContainerId, ContainerNotes> notes;  // survives an agent's death
  std::unique_ptr<AgentCore> core;

  BootTime now{std::chrono::seconds(1000)};
  AgentCore::Options options;
  std::vector<std::string> done;
  std::map<std::string, absl::Status> failures;  // "start c-web" -> what it returns
  bool journal_works = true;
  int steps = 0;  // effects and boundaries so far
  int power_fails_at = -1;

  World() { Boot(); }

  void Boot() {
    for (auto& [id, container] : held) {
      container.running = container.frozen = false;
    }
    notes.clear();
    StartAgent();
  }

  void StartAgent() {
    core = std::make_unique<AgentCore>(options);
    core->Restore(journal_version, journal_desired, journal_tombstones);
    core->RestoreNotes(notes);
    std::vector<HeldContainer> all;
    for (const auto& [id, container] : held) {
      all.push_back(container);
    }
    core->Recover(all, images, now);
    core->OnLeaseHolder(true, now);
  }

  // True when the power failed at this boundary.
  bool Boundary() {
    if (steps++ != power_fails_at) {
      return false;
    }
    Boot();
    return true;
  }

  Acceptance Want(uint64_t generation, std::vector<api::NodeContainer> containers,
                  std::vector<ContainerId> tombstones = {}, uint64_t epoch = 1) {
    const Acceptance accepted = core->OnDesired({.version = {epoch, generation},
                                                 .full = true,
                                                 .containers = std::move(containers),
                                                 .tombstones = std::move(tombstones)},
                                                now);
    Journal();
    return accepted;
  }

  void Journal() {
    if (!journal_works || Boundary()) {
      return;
    }
    journal_version = core->version();
    journal_desired = core->desired();
    journal_tombstones = core->tombstones();
    core->OnJournaled(journal_version);
  }

  absl::Status Carry(const Action& action) {
    const std::string what =
        std::string(kActionNames[static_cast<size_t>(action.kind)]) + " " +
        (action.kind == ActionKind::kFetch ? action.container.image_digest : action.id.str());
    done.push_back(what);
    if (auto it = failures.find(what); it != failures.end() && !it->second.ok()) {
      return it->second;
    }
    switch (action.kind) {
      case ActionKind::kFetch:
        images.insert(action.container.image_digest);
        break;
      case ActionKind::kStart:
        layers.try_emplace(action.id, 1);
        held[action.id] = {.definition = action.container, .running = true};
        break;
      case ActionKind::kStop:
        held[action.id].running = held[action.id].frozen = false;
        break;
      case ActionKind::kFreeze:
      case ActionKind::kThaw:
        held[action.id].frozen = action.kind == ActionKind::kFreeze;
        break;
      case ActionKind::kAdjust:
        held[action.id].definition.spec.limits = action.container.spec.limits;
        break;
      case ActionKind::kRebuild:
        ++layers[action.id];
        held[action.id].definition = action.container;
        break;
      case ActionKind::kDelete:
        held.erase(action.id);
        layers.erase(action.id);
        break;
    }
    return absl::OkStatus();
  }

  // Carries actions out until there are none.
  void Run() {
    for (int round = 0; round < 1000; ++round) {
      const std::vector<Action> actions = core->TakeActions(now);
      notes = core->notes();
      if (actions.empty()) {
        return;
      }
      for (const Action& action : actions) {
        if (Boundary()) {
          break;
        }
        const absl::Status status = Carry(action);
        if (Boundary()) {
          break;
        }
        if (action.kind == ActionKind::kFetch) {
          core->OnFetched(action.container.image_digest, status, now);
        } else {
          core->OnDone(action.id, action.kind, status, {}, now);
        }
      }
    }
    FAIL() << "the agent does not come to rest";
  }

  void Exit(std::string id, std::optional<int64_t> code) {
    held[Id(id)].running = false;
    core->OnExited(Id(id), {.code = code}, now);
    Run();
  }

  void Pass(std::chrono::milliseconds time) {
    now += time;
    Run();
  }

  void Lease(std::chrono::seconds length) {
    core->OnLease(now + length, now);
    Run();
  }

  bool Runs(const std::string& name) {
    return held.contains(Id("c-" + name)) && held[Id("c-" + name)].running;
  }

  api::ObservedContainer Seen(const std::string& name) {
    for (const api::ObservedContainer& container : core->Observe(now)) {
      if (container.id == Id("c-" + name)) {
        return container;
      }
    }
    return {};
  }

  std::vector<std::string> TakeDone() { return std::exchange(done, {}); }
};

}  // namespace bramble::node
