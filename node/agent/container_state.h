// SPDX-License-Identifier: Apache-2.0
#pragma once

// The life of one container on one node, as a table the compiler checks.  Pure: what is done in
// each state is agent_core.cc's.
//
//   at rest    stopped, running, frozen, waiting (tried again later), failed (tried no more)
//   in flight  every other: one action of the runtime is under way
//
// At most one action per container is in flight, so that a container's life is one line.

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace bramble::node {

enum class Phase {
  kStopped,
  kFetching,
  kStarting,
  kRunning,
  kAdjusting,
  kFreezing,
  kFrozen,
  kThawing,
  kStopping,
  kRebuilding,
  kWaiting,
  kFailed,
  kDeleting,
  kGone,
};
inline constexpr std::string_view kPhaseNames[] = {
    "stopped", "fetching", "starting",   "running", "adjusting", "freezing", "frozen",
    "thawing", "stopping", "rebuilding", "waiting", "failed",    "deleting", "gone"};
inline constexpr size_t kPhaseCount = std::size(kPhaseNames);

enum class PhaseEvent {
  kFetch,  // the image is not here: get it
  kFetched,
  kStart,
  kAdjust,  // other limits, while it runs
  kFreeze,
  kThaw,
  kStop,
  kRebuild,  // a fresh writable layer
  kDelete,
  kDone,    // the action in flight succeeded
  kError,   // the action in flight failed and left the container as it was
  kExited,  // its init ended
  kWait,    // try again after a while
  kGiveUp,
  kRetry,  // the while is over, or a person changed what is wanted
};
inline constexpr std::string_view kPhaseEventNames[] = {
    "fetch",  "fetched", "start", "adjust", "freeze", "thaw",    "stop", "rebuild",
    "delete", "done",    "error", "exited", "wait",   "give-up", "retry"};
inline constexpr size_t kPhaseEventCount = std::size(kPhaseEventNames);

struct PhaseTransition {
  Phase from;
  PhaseEvent event;
  Phase to;
};

inline constexpr auto kPhaseTransitions = std::to_array<PhaseTransition>({
    {Phase::kStopped, PhaseEvent::kFetch, Phase::kFetching},
    {Phase::kStopped, PhaseEvent::kStart, Phase::kStarting},
    {Phase::kStopped, PhaseEvent::kRebuild, Phase::kRebuilding},
    {Phase::kStopped, PhaseEvent::kDelete, Phase::kDeleting},
    {Phase::kStopped, PhaseEvent::kWait, Phase::kWaiting},
    {Phase::kStopped, PhaseEvent::kGiveUp, Phase::kFailed},

    // A fetch belongs to the image, not to the container, which may leave it at any time.
    {Phase::kFetching, PhaseEvent::kFetched, Phase::kStopped},
    {Phase::kFetching, PhaseEvent::kRetry, Phase::kStopped},
    {Phase::kFetching, PhaseEvent::kWait, Phase::kWaiting},

    {Phase::kStarting, PhaseEvent::kDone, Phase::kRunning},
    {Phase::kStarting, PhaseEvent::kError, Phase::kStopped},

    {Phase::kRunning, PhaseEvent::kAdjust, Phase::kAdjusting},
    {Phase::kRunning, PhaseEvent::kFreeze, Phase::kFreezing},
    {Phase::kRunning, PhaseEvent::kStop, Phase::kStopping},
    {Phase::kRunning, PhaseEvent::kExited, Phase::kStopped},

    {Phase::kAdjusting, PhaseEvent::kDone, Phase::kRunning},
    {Phase::kAdjusting, PhaseEvent::kError, Phase::kRunning},
    {Phase::kAdjusting, PhaseEvent::kExited, Phase::kStopped},

    {Phase::kFreezing, PhaseEvent::kDone, Phase::kFrozen},
    {Phase::kFreezing, PhaseEvent::kError, Phase::kRunning},
    {Phase::kFreezing, PhaseEvent::kExited, Phase::kStopped},

    {Phase::kFrozen, PhaseEvent::kThaw, Phase::kThawing},
    {Phase::kFrozen, PhaseEvent::kStop, Phase::kStopping},
    {Phase::kFrozen, PhaseEvent::kExited, Phase::kStopped},

    {Phase::kThawing, PhaseEvent::kDone, Phase::kRunning},
    {Phase::kThawing, PhaseEvent::kError, Phase::kFrozen},
    {Phase::kThawing, PhaseEvent::kExited, Phase::kStopped},

    // The exit of a container that is being stopped is what the stop waits for: its end counts.
    {Phase::kStopping, PhaseEvent::kDone, Phase::kStopped},
    {Phase::kStopping, PhaseEvent::kError, Phase::kRunning},
    {Phase::kStopping, PhaseEvent::kExited, Phase::kStopping},

    {Phase::kRebuilding, PhaseEvent::kDone, Phase::kStopped},
    {Phase::kRebuilding, PhaseEvent::kError, Phase::kStopped},

    {Phase::kWaiting, PhaseEvent::kRetry, Phase::kStopped},
    {Phase::kWaiting, PhaseEvent::kGiveUp, Phase::kFailed},
    {Phase::kWaiting, PhaseEvent::kDelete, Phase::kDeleting},

    {Phase::kFailed, PhaseEvent::kRetry, Phase::kStopped},
    {Phase::kFailed, PhaseEvent::kDelete, Phase::kDeleting},

    {Phase::kDeleting, PhaseEvent::kDone, Phase::kGone},
    {Phase::kDeleting, PhaseEvent::kError, Phase::kStopped},
});

// The phase after `event`, or nullopt where the table has no such row: the caller stays.
constexpr std::optional<Phase> Next(Phase from, PhaseEvent event) {
  for (const PhaseTransition& row : kPhaseTransitions) {
    if (row.from == from && row.event == event) {
      return row.to;
    }
  }
  return std::nullopt;
}

// Whether an action of the runtime is under way that ends with kDone or kError.
constexpr bool InFlight(Phase phase) { return Next(phase, PhaseEvent::kDone).has_value(); }

// Whether the container's init runs, or may run.
constexpr bool MayRun(Phase phase) {
  switch (phase) {
    case Phase::kStarting:
    case Phase::kRunning:
    case Phase::kAdjusting:
    case Phase::kFreezing:
    case Phase::kFrozen:
    case Phase::kThawing:
    case Phase::kStopping:
      return true;
    default:
      return false;
  }
}

constexpr bool EveryPhaseHasAWayOut() {
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    bool out = static_cast<Phase>(phase) == Phase::kGone;
    for (const PhaseTransition& row : kPhaseTransitions) {
      out = out || (row.from == static_cast<Phase>(phase) && row.to != row.from);
    }
    if (!out) {
      return false;
    }
  }
  return true;
}
static_assert(EveryPhaseHasAWayOut(), "no container may be stuck");

}  // namespace bramble::node
