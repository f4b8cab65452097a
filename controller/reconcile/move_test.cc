// SPDX-License-Identifier: Apache-2.0
#include "controller/reconcile/move.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>

#include "base/random.h"

namespace bramble::controller {

static void PrintTo(MoveAction action, std::ostream* out) {
  *out << kMoveActionNames[static_cast<size_t>(action)];
}

namespace {

using std::chrono::seconds;

constexpr BootTime kNow{seconds(1000)};
const MoveNodeFacts kSilent{};
const MoveNodeFacts kHere{.connected = true};
const MoveNodeFacts kStopped{.connected = true, .stopped = true};
const MoveNodeFacts kArrived{.connected = true, .as_wanted = true, .ran = true};
const MoveNodeFacts kRan{.connected = true, .stopped = true, .ran = true};
const MoveNodeFacts kFails{.connected = true, .cannot_start = true};

struct Row {
  const char* what;
  MoveFacts facts;
  MoveAction action;
};

TEST(MoveTest, WhatIsDoneNext) {
  const absl::Status full = absl::ResourceExhaustedError("no room");
  const absl::Status lost = absl::UnavailableError("gone");
  const absl::Status hash = absl::DataLossError("another hash");
  using P = MovePhase;
  using C = CopyState;
  const Row rows[] = {
      {"the source runs", {.phase = P::kStopping, .source = kHere}, MoveAction::kWait},
      {"the source is silent", {.phase = P::kStopping, .source = kSilent}, MoveAction::kWait},
      {"it has stopped", {.phase = P::kStopping, .source = kStopped}, MoveAction::kCopy},
      {"called off",
       {.phase = P::kStopping, .source = kSilent, .called_off = true},
       MoveAction::kGiveUp},
      {"the target is gone",
       {.phase = P::kStopping, .source = kStopped, .target_known = false},
       MoveAction::kGiveUp},
      {"the target is gone, and there is another",
       {.phase = P::kStopping, .target_known = false, .other_target = true},
       MoveAction::kElsewhere},

      {"both are there",
       {.phase = P::kCopying, .source = kStopped, .target = kStopped},
       MoveAction::kCopy},
      {"the target has not taken its order in",
       {.phase = P::kCopying, .source = kStopped, .target = kHere},
       MoveAction::kWait},
      {"a restarted controller does not know yet",
       {.phase = P::kCopying, .source = kHere, .target = kHere},
       MoveAction::kWait},
      {"the target is silent", {.phase = P::kCopying, .source = kStopped}, MoveAction::kWait},
      {"the target is silent, as in a reboot",
       {.phase = P::kCopying,
        .source = kStopped,
        .other_target = true,
        .target_missed_since = kNow - kTargetPatience + seconds(1)},
       MoveAction::kWait},
      {"the target stays silent",
       {.phase = P::kCopying,
        .source = kStopped,
        .other_target = true,
        .target_missed_since = kNow - kTargetPatience},
       MoveAction::kElsewhere},
      {"the target stays silent, and there is no other",
       {.phase = P::kCopying, .source = kStopped, .target_missed_since = kNow - kTargetPatience},
       MoveAction::kGiveUp},
      {"the source is silent", {.phase = P::kCopying, .target = kStopped}, MoveAction::kWait},
      {"under way", {.phase = P::kCopying, .copy = C::kUnderWay}, MoveAction::kWait},
      {"verified", {.phase = P::kCopying, .copy = C::kDone}, MoveAction::kSwitch},
      {"verified, but called off",
       {.phase = P::kCopying, .copy = C::kDone, .called_off = true},
       MoveAction::kGiveUp},
      {"verified, but the target is gone",
       {.phase = P::kCopying, .target_known = false, .copy = C::kDone},
       MoveAction::kGiveUp},
      {"an agent or the controller was killed",
       {.phase = P::kCopying, .copy = C::kFailed, .copy_error = lost},
       MoveAction::kNoteRetry},
      {"another hash",
       {.phase = P::kCopying, .copy = C::kFailed, .copy_error = hash},
       MoveAction::kNoteRetry},
      {"once too often",
       {.phase = P::kCopying, .copy = C::kFailed, .copy_error = hash, .tries = kMaxCopyTries - 1},
       MoveAction::kGiveUp},
      {"the target's disk is full",
       {.phase = P::kCopying, .copy = C::kFailed, .copy_error = full},
       MoveAction::kGiveUp},
      {"the target's disk is full, and there is another",
       {.phase = P::kCopying,
        .other_target = true,
        .copy = C::kFailed,
        .copy_error = full,
        .target_failed = true},
       MoveAction::kElsewhere},
      {"the target's disk is full, but it was called off",
       {.phase = P::kCopying,
        .other_target = true,
        .copy = C::kFailed,
        .copy_error = full,
        .target_failed = true,
        .called_off = true},
       MoveAction::kGiveUp},
      {"the target breaks off once too often",
       {.phase = P::kCopying,
        .other_target = true,
        .copy = C::kFailed,
        .copy_error = lost,
        .target_failed = true,
        .tries = kMaxCopyTries - 1},
       MoveAction::kElsewhere},
      {"the source breaks off once too often: no other would get it either",
       {.phase = P::kCopying,
        .other_target = true,
        .copy = C::kFailed,
        .copy_error = lost,
        .tries = kMaxCopyTries - 1},
       MoveAction::kGiveUp},
      {"the target is gone while it copies",
       {.phase = P::kCopying, .target_known = false, .copy = C::kUnderWay},
       MoveAction::kGiveUp},
      {"not yet again",
       {.phase = P::kCopying,
        .source = kStopped,
        .target = kStopped,
        .not_before = kNow + seconds(1)},
       MoveAction::kWait},
      {"now again",
       {.phase = P::kCopying, .source = kStopped, .target = kStopped, .not_before = kNow},
       MoveAction::kCopy},
      {"called off while it copies",
       {.phase = P::kCopying, .copy = C::kUnderWay, .called_off = true},
       MoveAction::kGiveUp},

      {"the target starts it",
       {.phase = P::kStarting, .target = kHere, .since = kNow},
       MoveAction::kWait},
      {"it runs there", {.phase = P::kStarting, .target = kArrived}, MoveAction::kFinish},
      {"it ran there and ended", {.phase = P::kStarting, .target = kRan}, MoveAction::kFinish},
      {"the target is silent, for however long",
       {.phase = P::kStarting, .target = kSilent, .since = kNow - kStartLimit * 9},
       MoveAction::kWait},
      {"called off too late",
       {.phase = P::kStarting, .target = kHere, .called_off = true},
       MoveAction::kWait},
      {"it could not start at first",
       {.phase = P::kStarting, .target = kFails, .since = kNow},
       MoveAction::kWait},
      {"it cannot start",
       {.phase = P::kStarting, .target = kFails, .since = kNow - kStartPatience},
       MoveAction::kTurnBack},
      {"it takes too long",
       {.phase = P::kStarting, .target = kHere, .since = kNow - kStartLimit},
       MoveAction::kTurnBack},

      {"the target may be starting it",
       {.phase = P::kReturning, .target = kHere},
       MoveAction::kWait},
      {"the target is silent", {.phase = P::kReturning, .target = kSilent}, MoveAction::kWait},
      {"it does not run there and never did",
       {.phase = P::kReturning, .target = kStopped},
       MoveAction::kGiveUp},
      {"it never ran there, and there is another",
       {.phase = P::kReturning, .target = kStopped, .other_target = true},
       MoveAction::kElsewhere},
      {"it did run there", {.phase = P::kReturning, .target = kRan}, MoveAction::kFinish},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(DecideMove(row.facts, kNow).action, row.action)
        << kMovePhaseNames[static_cast<size_t>(row.facts.phase)] << ": " << row.what;
  }
}

TEST(MoveTest, TriesComeLaterAndLater) {
  EXPECT_EQ(CopyRetryAt(1, kNow) - kNow, seconds(2));
  EXPECT_EQ(CopyRetryAt(2, kNow) - kNow, seconds(4));
  EXPECT_EQ(CopyRetryAt(4, kNow) - kNow, seconds(16));
  EXPECT_EQ(CopyRetryAt(99, kNow) - kNow, kMaxCopyRetry);
}

// A source, targets and a controller, and messages that are lost, repeated and overtake each other.
struct Order {
  uint64_t version = 0;
  bool held = false;  // false: buried
  bool run = false;
  bool needs_copy = false;
};
struct Word {
  uint64_t version = 0;
  MoveNodeFacts facts;
};
struct PlayedNode {
  Order order;
  bool has_layer = false;
  int written = 0;  // the last write that its layer holds
  bool running = false;
  bool ran = false;
  bool failed = false;
  bool cannot_start = false;  // as a target
  bool full = false;
  std::deque<Order> to;
  std::deque<Word> from;

  // What the controller holds: the last order, and the last word of this session.
  Order wanted;
  std::optional<Word> heard;
};

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    source_.has_layer = source_.running = source_.ran = true;
    source_.order = {.version = 1, .held = true, .run = true};
    source_.wanted = source_.order;
    for (PlayedNode& target : targets_) {
      target.cannot_start = random_.Below(3) == 0;
      target.full = random_.Below(4) == 0;
    }
    Tell(source_, {.held = true});
    Tell(Target(), {.held = true, .needs_copy = true});
  }

  bool ended() const { return ended_; }
  bool arrived() const { return at_target_; }
  bool redirected() const { return which_ > 0; }

  // One thing that may happen, happens.  With no `trouble` only what brings it on.
  void Step(bool trouble) {
    now_ += std::chrono::milliseconds(500);
    switch (random_.Below(trouble ? 12 : 6)) {
      case 0:
        return Deliver(source_);
      case 1:
        return Deliver(AnyTarget());
      case 2:
        return Act(source_);
      case 3:
        return Act(AnyTarget());
      case 4:
        return AdvanceCopy(/*fails=*/trouble && random_.Below(3) == 0);
      case 5:
        return Decide();
      case 6:
        return Reconnect(source_);
      case 7:
        return Reconnect(AnyTarget());
      case 8:
        return Crash(random_.Below(2) == 0 ? source_ : AnyTarget());
      case 9:
        return RestartController();
      case 10:
        called_off_ = called_off_ || random_.Below(20) == 0;
        return;
      default:
        now_ += std::chrono::seconds(random_.Below(60));
    }
  }

  void Check() const {
    int running = source_.running ? 1 : 0;
    for (const PlayedNode& target : targets_) {
      running += target.running ? 1 : 0;
    }
    ASSERT_LE(running, 1) << "two copies";
    if (ended_) {
      const PlayedNode& where = at_target_ ? targets_[which_] : source_;
      ASSERT_TRUE(where.has_layer) << "its layer is gone";
      ASSERT_EQ(where.written, writes_) << "what it wrote is lost";
    }
  }
  bool RunsWhereItIs() const { return (at_target_ ? targets_[which_] : source_).running; }

 private:
  PlayedNode& Target() { return targets_[which_]; }
  // Also one that was given up.
  PlayedNode& AnyTarget() { return targets_[random_.Below(which_ + 1)]; }

  void Tell(PlayedNode& node, Order order) {
    order.version = ++version_;
    node.wanted = order;
    node.to.push_back(order);
  }

  // An order or a word arrives: any that is under way, perhaps not for the last time.
  void Deliver(PlayedNode& node) {
    if (random_.Below(2) == 0 && !node.to.empty()) {
      const size_t i = random_.Below(node.to.size());
      const Order order = node.to[i];
      if (random_.Below(4) != 0) {
        node.to.erase(node.to.begin() + static_cast<std::ptrdiff_t>(i));
      }
      if (order.version >= node.order.version) {  // a node refuses what is older
        node.order = order;
      }
      Say(node);
    } else if (!node.from.empty()) {
      const size_t i = random_.Below(node.from.size());
      node.heard = node.from[i];
      if (random_.Below(4) != 0) {
        node.from.erase(node.from.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }

  void Say(PlayedNode& node) {
    const bool stopped = !node.running;
    node.from.push_back({.version = node.order.version,
                         .facts = {.connected = true,
                                   .stopped = stopped,
                                   .as_wanted = node.order.run == node.running,
                                   .ran = node.ran,
                                   .cannot_start = node.failed && !node.ran}});
  }

  void Act(PlayedNode& node) {
    if (!node.order.held) {
      node.has_layer = node.running = false;
    } else if (!node.order.run) {
      node.running = node.failed = false;
    } else if (!node.running && (node.has_layer || !node.order.needs_copy)) {
      node.failed = node.cannot_start;
      if (!node.failed) {
        node.running = node.ran = node.has_layer = true;
        node.written = ++writes_;
      }
    }
    Say(node);
  }

  // Its init ends; while it is wanted it will be started again.
  void Crash(PlayedNode& node) {
    node.failed = node.running;
    node.running = false;
    Say(node);
  }

  // The session ends, and with it what was under way; in the new one everything is said again.
  void Reconnect(PlayedNode& node) {
    node.to = {node.wanted};
    node.from.clear();
    node.heard.reset();
    Say(node);
  }

  void RestartController() {
    copy_ = CopyState::kIdle;
    missed_since_.reset();
    Reconnect(source_);
    for (PlayedNode& target : targets_) {
      Reconnect(target);
    }
  }

  void AdvanceCopy(bool fails) {
    if (copy_ != CopyState::kUnderWay) {
      return;
    }
    PlayedNode& target = Target();
    const bool told = target.order.held && !target.order.run && target.order.needs_copy;
    if (fails || !told || source_.running || !source_.has_layer || target.full) {
      copy_ = CopyState::kFailed;
      copy_error_ =
          target.full ? absl::ResourceExhaustedError("no room") : absl::UnavailableError("lost");
      target_failed_ = target.full || random_.Below(2) == 0;
      return;
    }
    target.has_layer = true;
    target.written = source_.written;
    target.ran = target.failed = false;
    copy_ = CopyState::kDone;
    Say(target);
  }

  // As the controller takes words: one from before the last order tells only that the node lives.
  static MoveNodeFacts FactsOf(const PlayedNode& node) {
    if (!node.heard.has_value()) {
      return {};
    }
    return node.heard->version >= node.wanted.version ? node.heard->facts
                                                      : MoveNodeFacts{.connected = true};
  }

  void Decide() {
    if (ended_) {
      return;
    }
    const MoveNodeFacts source = FactsOf(source_);
    const MoveNodeFacts target = FactsOf(Target());
    const bool missed = phase_ == MovePhase::kCopying && copy_ == CopyState::kIdle &&
                        source.stopped && !target.stopped;
    missed_since_ = missed ? missed_since_.value_or(now_) : std::optional<BootTime>();
    const MoveStep step = DecideMove({.phase = phase_,
                                      .source = source,
                                      .target = target,
                                      .other_target = which_ + 1 < targets_.size(),
                                      .target_missed_since = missed_since_,
                                      .copy = copy_,
                                      .copy_error = copy_error_,
                                      .target_failed = target_failed_,
                                      .tries = tries_,
                                      .since = since_,
                                      .called_off = called_off_},
                                     now_);
    const MovePhase before = phase_;
    switch (step.action) {
      case MoveAction::kWait:
        break;
      case MoveAction::kCopy:
        copy_ = phase_ == MovePhase::kCopying ? CopyState::kUnderWay : CopyState::kIdle;
        phase_ = MovePhase::kCopying;
        break;
      case MoveAction::kNoteRetry:
        ++tries_;
        copy_ = CopyState::kIdle;
        break;
      case MoveAction::kSwitch:
        phase_ = MovePhase::kStarting;
        at_target_ = true;
        Tell(Target(), {.held = true, .run = true, .needs_copy = true});
        break;
      case MoveAction::kTurnBack:
        phase_ = MovePhase::kReturning;
        Tell(Target(), {.held = true, .needs_copy = true});
        break;
      case MoveAction::kFinish:
        ended_ = true;
        Tell(Target(), {.held = true, .run = true});
        Tell(source_, {.held = false});
        break;
      case MoveAction::kElsewhere:
        if (phase_ == MovePhase::kReturning) {
          phase_ = MovePhase::kCopying;
        }
        at_target_ = false;
        copy_ = CopyState::kIdle;
        tries_ = 0;
        missed_since_.reset();
        Tell(Target(), {.held = false});
        ++which_;
        Tell(Target(), {.held = true, .needs_copy = true});
        break;
      case MoveAction::kGiveUp:
        ended_ = true;
        at_target_ = false;
        Tell(source_, {.held = true, .run = true});
        Tell(Target(), {.held = false});
        break;
    }
    if (phase_ != before) {
      since_ = now_;
    }
  }

  SeededRandom random_;
  PlayedNode source_;
  std::array<PlayedNode, kMaxMoveTargets> targets_;
  size_t which_ = 0;
  uint64_t version_ = 1;
  int writes_ = 0;

  MovePhase phase_ = MovePhase::kStopping;
  CopyState copy_ = CopyState::kIdle;
  absl::Status copy_error_;
  bool target_failed_ = false;
  std::optional<BootTime> missed_since_;
  int64_t tries_ = 0;
  BootTime now_ = kNow;
  BootTime since_ = kNow;
  bool called_off_ = false;
  bool at_target_ = false;
  bool ended_ = false;
};

TEST(MoveTest, WhateverIsLostRepeatedOrLateThereIsOneCopyAndNothingIsLost) {
  int arrived = 0;
  int redirected = 0;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    World world(seed);
    for (int i = 0; i < 400; ++i) {
      world.Step(/*trouble=*/true);
      world.Check();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed << ", step " << i;
    }
    int steps = 0;
    while (!world.ended() || !world.RunsWhereItIs()) {
      world.Step(/*trouble=*/false);
      world.Check();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed;
      ASSERT_LT(++steps, 20'000) << "seed " << seed << ": it does not come to an end";
    }
    arrived += world.arrived() ? 1 : 0;
    redirected += world.redirected() ? 1 : 0;
  }
  // The trouble is not such that only one end is ever seen.
  EXPECT_GT(arrived, 100);
  EXPECT_LT(arrived, 2900);
  EXPECT_GT(redirected, 100);
}

}  // namespace
}  // namespace bramble::controller
