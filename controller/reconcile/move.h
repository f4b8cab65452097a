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
// buried last.  What is not known (a silent node) is waited for.

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

inline constexpr int64_t kMaxCopyTries = 5;
inline constexpr std::chrono::seconds kFirstCopyRetry{2};  // doubles with each try
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
  bool target_known = true;  // it was not removed
  CopyState copy = CopyState::kIdle;
  absl::Status copy_error;             // kFailed
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
  kGiveUp,     // it stays, and runs on, where it was: bury what the target has
};
inline constexpr std::string_view kMoveActionNames[] = {
    "wait", "copy", "note-retry", "switch", "finish", "turn-back", "give-up"};

struct MoveStep {
  MoveAction action = MoveAction::kWait;
  std::string text;  // what it waits for, or why it is given up; for people
};

MoveStep DecideMove(const MoveFacts& facts, BootTime now);

// When the next try may begin, after `tries` that failed.
BootTime CopyRetryAt(int64_t tries, BootTime now);

}  // namespace bramble::controller
