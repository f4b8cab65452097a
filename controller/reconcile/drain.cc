// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/drain.h"

#include <algorithm>

#include "base/strings.h"

namespace bramble::controller {
namespace {

constexpr size_t kNamesInMessage = 3;

bool OnItsWay(LeaveState state) {
  return state != LeaveState::kHere && state != LeaveState::kThere;
}

bool IsMovable(const LeavingContainer& container) {
  return container.placement_class == api::PlacementClass::kMovable;
}

// Why it will not leave now; empty: it can.
std::string StayReason(const LeavingContainer& container, bool leave_pinned) {
  if (!IsMovable(container) && leave_pinned) {
    return "pinned";
  }
  if (container.node_pinned) {
    return "may only run there";
  }
  if (!container.gave_up.empty()) {
    return container.gave_up;
  }
  return container.blocked;
}

// The first few as "db (pinned), web (…) and 3 more".
std::string Listed(const std::vector<std::string>& parts) {
  std::string text;
  for (size_t i = 0; i < std::min(parts.size(), kNamesInMessage); ++i) {
    text = StrCat(text, i == 0 ? "" : ", ", parts[i]);
  }
  return parts.size() <= kNamesInMessage
             ? text
             : StrCat(text, " and ", parts.size() - kNamesInMessage, " more");
}

struct Progress {
  int64_t there = 0;
  int64_t on_their_way = 0;
  int64_t left_on_purpose = 0;
  bool any_may_leave = false;
  std::vector<std::string> doing;
  std::vector<std::string> staying;
};

// Begins what may be begun with `slots` free, in the order of `leaving`.
void BeginMoves(const std::vector<const LeavingContainer*>& leaving, int64_t slots,
                DrainStep& step) {
  for (const LeavingContainer* container : leaving) {
    if (slots-- <= 0) {
      return;
    }
    // One that is not to run is told so too: that it was ordered does not mean that it happened.
    (IsMovable(*container) ? step.stop : step.cold_move).push_back(container->id);
  }
}

std::string Message(const DrainQuery& query, const DrainStep& step, const Progress& progress) {
  const auto total = static_cast<int64_t>(query.containers.size()) - progress.left_on_purpose;
  std::string text = StrCat(progress.there, " of ", total, " containers moved");
  if (progress.on_their_way > 0) {
    text = StrCat(text, ", ", progress.on_their_way, " under way");
  }
  if (!progress.doing.empty()) {
    text = StrCat(text, ": ", Listed(progress.doing));
  }
  if (!progress.staying.empty()) {
    text = StrCat(text, "; stays: ", Listed(progress.staying));
  }
  return step.overdue ? StrCat("the deadline has passed: ", text) : text;
}

DrainStep Plan(const DrainQuery& query, BootTime now) {
  DrainStep step;
  Progress progress;
  std::vector<const LeavingContainer*> leaving;
  for (const LeavingContainer& container : query.containers) {
    if (container.state == LeaveState::kThere) {
      ++progress.there;
      continue;
    }
    if (OnItsWay(container.state)) {
      ++progress.on_their_way;
      if (!container.doing.empty()) {
        progress.doing.push_back(StrCat(container.name.str(), " (", container.doing, ")"));
      }
      if (container.state == LeaveState::kStopped) {
        step.place.push_back(container.id);  // also past the deadline: it is down until then
      }
      continue;
    }
    const std::string stay = StayReason(container, query.leave_pinned);
    if (stay.empty()) {
      leaving.push_back(&container);
      continue;
    }
    progress.any_may_leave =
        progress.any_may_leave ||
        (container.gave_up.empty() && (IsMovable(container) || !query.leave_pinned));
    step.stay.push_back(container.id);
    progress.staying.push_back(StrCat(container.name.str(), " (", stay, ")"));
    progress.left_on_purpose += !IsMovable(container) && query.leave_pinned ? 1 : 0;
  }
  const auto total = static_cast<int64_t>(query.containers.size()) - progress.left_on_purpose;
  step.drained = progress.there == total;
  step.stuck =
      !step.drained && leaving.empty() && progress.on_their_way == 0 && !progress.any_may_leave;
  step.overdue = !step.drained && query.deadline.has_value() && now >= *query.deadline;
  if (!step.overdue) {
    std::sort(leaving.begin(), leaving.end(), [](const auto* a, const auto* b) {
      return IsMovable(*a) != IsMovable(*b) ? IsMovable(*a) : a->name < b->name;
    });
    BeginMoves(leaving, std::max<int64_t>(1, query.at_once) - progress.on_their_way, step);
  }
  step.percent = total == 0 ? 100 : progress.there * 100 / total;
  step.message = Message(query, step, progress);
  return step;
}

}  // namespace

DrainStep PlanDrain(const DrainQuery& query, BootTime now) {
  DrainStep step = Plan(query, now);
  step.message = StrCat("drain of node \"", query.node.str(), "\": ", step.message);
  return step;
}

DrainStep PlanRestore(const DrainQuery& query, BootTime now) {
  DrainStep step = Plan(query, now);
  step.message = StrCat("restore of node \"", query.node.str(), "\": ", step.message);
  return step;
}

}  // namespace bramble::controller
