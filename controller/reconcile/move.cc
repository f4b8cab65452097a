// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/move.h"

#include <algorithm>

#include "base/strings.h"

namespace bramble::controller {
namespace {

constexpr int64_t kMostDoublings = 6;

MoveStep Wait(std::string text) { return {MoveAction::kWait, std::move(text)}; }

MoveStep DecideStopping(const MoveFacts& facts) {
  if (facts.called_off) {
    return {MoveAction::kGiveUp, "it was called off before the container had stopped"};
  }
  if (!facts.target_known) {
    return {MoveAction::kGiveUp, "the node that it was to go to was removed"};
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

MoveStep DecideCopying(const MoveFacts& facts, BootTime now) {
  // Also when it was called off meanwhile: what is there need not be copied back.
  if (facts.copy == CopyState::kDone && facts.target_known && !facts.called_off) {
    return {MoveAction::kSwitch, "starts"};
  }
  if (facts.called_off) {
    return {MoveAction::kGiveUp, "it was called off before its files were copied"};
  }
  if (!facts.target_known) {
    return {MoveAction::kGiveUp, "the node that it was to go to was removed"};
  }
  if (facts.copy == CopyState::kUnderWay) {
    return Wait("copies its files");
  }
  if (facts.copy == CopyState::kFailed) {
    const std::string why = std::string(facts.copy_error.message());
    return IsFinal(facts.copy_error) || facts.tries + 1 >= kMaxCopyTries
               ? MoveStep{MoveAction::kGiveUp, why}
               : MoveStep{MoveAction::kNoteRetry, why};
  }
  if (facts.not_before.has_value() && now < *facts.not_before) {
    return Wait("copies its files again in a moment");
  }
  if (!facts.source.connected || !facts.target.connected) {
    return Wait(facts.source.connected ? "the node that it goes to is silent"
                                       : "the node that it comes from is silent");
  }
  return facts.source.stopped ? MoveStep{MoveAction::kCopy, "copies its files"}
                              : Wait("is being stopped");
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
  return facts.target.stopped ? MoveStep{MoveAction::kGiveUp, ""} : Wait("comes back");
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
  return now + kFirstCopyRetry * (int64_t{1} << std::clamp<int64_t>(tries - 1, 0, kMostDoublings));
}

}  // namespace bramble::controller
