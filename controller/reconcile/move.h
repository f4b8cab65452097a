// SPDX-License-Identifier: Apache-2.0
#pragma once

// The cold move of one pinned container, step by step: a function from what is known to what is
// done next.  The container has one writable layer that counts:
//
//   stopping   the source was told to stop it.             The source's counts.
//   copying    it does not run; the layer is being copied. The source's counts.
//   starting   the copy is verified and the target has it. The target's counts as soon as it ran.
//   returning  it could not be started there, and the target was told to leave it stopped, until
//              that is confirmed.                           The source's counts again.
//
// At any moment only one node is told to run it, and another is told so only when the first has
// confirmed, knowing of its order, that it does not.  The layer that does not count any more is
// buried last.
//
// A silent source is waited for, and so is a silent target that may run it.  While the target
// cannot have run it, it is changed for another node when it is silent for long, cannot take the
// layer or cannot start it; where there is no other, the container runs on where it was.
// So once all are heard again it runs within kMaxCopyRetry and one copy, and kStartPatience where
// it cannot start there.

#include <chrono>
#include <optional>
#include <string>

#include "base/clock.h"

#include "absl/status/status.h"

namespace bramble::controller {

// Persisted by name: never rename, only append.
enum class MovePhase { kStopping, kCopying, kStarting, kReturning };
inline constexpr std::string_view kMovePhaseNames[] = {"stopping", "copying", "starting",
                                                       "returning"};

// Each copies all of it anew, so that they must not be many; of one target.
inline constexpr int64_t kMaxCopyTries = 5;
inline constexpr std::chrono::seconds kFirstCopyRetry{2};  // doubles with each try
inline constexpr std::chrono::seconds kMaxCopyRetry{16};
// How many nodes are tried for one move, one after the other.
inline constexpr size_t kMaxMoveTargets = 3;
// How long a target that cannot have run it yet is waited for by a source that has stopped it: a
// reboot, not a repair.
inline constexpr std::chrono::minutes kTargetPatience{2};
// How long the target may take until it has tried to start what it has verified.
inline constexpr std::chrono::minutes kStartLimit{10};
// How long it may try in vain.
inline constexpr std::chrono::seconds kStartPatience{30};

// One node, as its reports tell; all false while it is silent.
struct MoveNodeFacts {
  bool connected = false;
  bool stopped = false;       // confirmed, by a report that knows of its last order
  bool as_wanted = false;     // has carried out what was last ordered, and the container is so
  bool ran = false;           // its init ran there, since the move began
  bool cannot_start = false;  // tried in vain; its init never ran
  std::string reason;         // the node's own
};

// What became of the copying.
enum class CopyState { kIdle, kUnderWay, kDone, kFailed };

struct MoveFacts {
  MovePhase phase = MovePhase::kStopping;
  MoveNodeFacts source;
  MoveNodeFacts target;
  bool target_known = true;                     // it was not removed
  bool other_target = false;                    // another node could take it
  std::optional<BootTime> target_missed_since;  // since when all but the target is ready to copy
  CopyState copy = CopyState::kIdle;
  absl::Status copy_error;             // kFailed
  bool target_failed = false;          // kFailed: it was the target's end
  int64_t tries = 0;                   // that failed
  std::optional<BootTime> not_before;  // the next try
  std::optional<BootTime> since;       // when this controller first saw it in this phase
  bool called_off = false;             // the drain's deadline has passed, or a person cancelled it
};

enum class MoveAction {
  kWait,
  kCopy,       // begin to copy, and be in phase copying
  kNoteRetry,  // count the failed try and wait
  kSwitch,     // the target's is to run: phase starting
  kFinish,     // it is there: bury the source's layer
  kTurnBack,   // tell the target to leave it: phase returning
  kElsewhere,  // another target: bury what this one has
  kGiveUp,     // it stays, and runs on, where it was: bury what the target has
};
inline constexpr std::string_view kMoveActionNames[] = {
    "wait", "copy", "note-retry", "switch", "finish", "turn-back", "elsewhere", "give-up"};

struct MoveStep {
  MoveAction action = MoveAction::kWait;
  std::string text;  // what it waits for, or why it is given up or goes elsewhere; for people
};

MoveStep DecideMove(const MoveFacts& facts, BootTime now);

// When the next try may begin, after `tries` that failed.
BootTime CopyRetryAt(int64_t tries, BootTime now);

}  // namespace bramble::controller
