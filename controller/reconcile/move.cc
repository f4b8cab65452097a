// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/move.h"

#include <algorithm>

#include "base/strings.h"

namespace bramble::controller {
namespace {

MoveStep Wait(std::string text) { return {MoveAction::kWait, std::move(text)}; }

// It cannot be had on this target, and never ran there.
MoveStep NotThere(const MoveFacts& facts, std::string why) {
  return {facts.other_target && !facts.called_off ? MoveAction::kElsewhere : MoveAction::kGiveUp,
          std::move(why)};
}

constexpr std::string_view kTargetRemoved = "the node that it was to go to was removed";

MoveStep DecideStopping(const MoveFacts& facts) {
  if (facts.called_off) {
    return {MoveAction::kGiveUp, "it was called off before the container had stopped"};
  }
  if (!facts.target_known) {
    return NotThere(facts, std::string(kTargetRemoved));
  }
  if (!facts.source.connected) {
    return Wait("its node is silent");
  }
  return facts.source.stopped ? MoveStep{MoveAction::kCopy, "copies its files"}
                              : Wait("is being stopped");
}

// A failure that another try on the same nodes would only repeat.
bool IsFinal(const absl::Status& error) {
  return absl::IsResourceExhausted(error) || absl::IsInvalidArgument(error);
}

MoveStep DecideFailedCopy(const MoveFacts& facts) {
  std::string why = std::string(facts.copy_error.message());
  if (!IsFinal(facts.copy_error) && facts.tries + 1 < kMaxCopyTries) {
    return {MoveAction::kNoteRetry, std::move(why)};
  }
  // What the source cannot give, it can give to no other.
  return facts.target_failed ? NotThere(facts, std::move(why))
                             : MoveStep{MoveAction::kGiveUp, std::move(why)};
}

MoveStep DecideCopying(const MoveFacts& facts, BootTime now) {
  // Also when it was called off meanwhile: what is there need not be copied back.
  if (facts.copy == CopyState::kDone && facts.target_known && !facts.called_off) {
    return {MoveAction::kSwitch, "starts"};
  }
  if (facts.called_off) {
    return {MoveAction::kGiveUp, "it was called off before its files were copied"};
  }
  if (!facts.target_known) {
    return NotThere(facts, std::string(kTargetRemoved));
  }
  if (facts.copy == CopyState::kUnderWay) {
    return Wait("copies its files");
  }
  if (facts.copy == CopyState::kFailed) {
    return DecideFailedCopy(facts);
  }
  if (facts.target_missed_since.has_value() &&
      now >= *facts.target_missed_since + kTargetPatience) {
    return NotThere(
        facts,
        StrCat("the node that it was to go to was not ready within ",
               std::chrono::duration_cast<std::chrono::seconds>(kTargetPatience).count(), " s"));
  }
  if (facts.not_before.has_value() && now < *facts.not_before) {
    return Wait("copies its files again in a moment");
  }
  if (!facts.source.connected) {
    return Wait("the node that it comes from is silent");
  }
  if (!facts.source.stopped) {
    return Wait("is being stopped");
  }
  if (!facts.target.connected) {
    return Wait("the node that it goes to is silent");
  }
  return facts.target.stopped ? MoveStep{MoveAction::kCopy, "copies its files"}
                              : Wait("the node that it goes to makes ready");
}

MoveStep DecideStarting(const MoveFacts& facts, BootTime now) {
  if (facts.target.as_wanted || (facts.target.ran && facts.target.connected)) {
    return {MoveAction::kFinish, "is there"};
  }
  if (!facts.target_known) {
    return {MoveAction::kGiveUp, "the node that it was to start on was removed"};
  }
  if (!facts.target.connected) {
    return Wait("the node that starts it is silent");
  }
  const bool patient = !facts.since.has_value() || now < *facts.since + kStartPatience;
  if (facts.target.cannot_start && !patient) {
    return {MoveAction::kTurnBack, facts.target.reason};
  }
  if (facts.since.has_value() && now >= *facts.since + kStartLimit) {
    return {MoveAction::kTurnBack,
            StrCat("it was not started within ",
                   std::chrono::duration_cast<std::chrono::seconds>(kStartLimit).count(), " s",
                   facts.target.reason.empty() ? "" : StrCat(": ", facts.target.reason))};
  }
  return Wait(facts.target.reason.empty() ? "starts" : facts.target.reason);
}

MoveStep DecideReturning(const MoveFacts& facts) {
  // It did run: what it wrote is there and nowhere else.
  if (facts.target.ran && facts.target.connected) {
    return {MoveAction::kFinish, "is there"};
  }
  if (!facts.target_known) {
    return {MoveAction::kGiveUp, "the node that it was to start on was removed"};
  }
  if (!facts.target.connected) {
    return Wait("the node that could not start it is silent");
  }
  return facts.target.stopped ? NotThere(facts, "") : Wait("comes back");
}

}  // namespace

MoveStep DecideMove(const MoveFacts& facts, BootTime now) {
  switch (facts.phase) {
    case MovePhase::kStopping:
      return DecideStopping(facts);
    case MovePhase::kCopying:
      return DecideCopying(facts, now);
    case MovePhase::kStarting:
      return DecideStarting(facts, now);
    case MovePhase::kReturning:
      return DecideReturning(facts);
  }
  return {};
}

BootTime CopyRetryAt(int64_t tries, BootTime now) {
  std::chrono::seconds wait = kFirstCopyRetry;
  for (int64_t i = 1; i < tries && wait < kMaxCopyRetry; ++i) {
    wait *= 2;
  }
  return now + std::min(wait, kMaxCopyRetry);
}

}  // namespace bramble::controller
