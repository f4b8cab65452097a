// SPDX-License-Identifier: Apache-2.0
#include "node/agent/container_state.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace bramble::node {
namespace {

Phase PhaseAt(size_t i) { return static_cast<Phase>(i); }
PhaseEvent EventAt(size_t i) { return static_cast<PhaseEvent>(i); }

// One line per phase: what each event does to it, "." where nothing.  A new row in the table
// changes a line here on purpose.
TEST(ContainerStateTest, EveryPhaseAndEventIsADecision) {
  const std::map<std::string, std::string> expected = {
      {"stopped",
       "fetch>fetching start>starting rebuild>rebuilding delete>deleting wait>waiting "
       "give-up>failed"},
      {"fetching", "fetched>stopped wait>waiting retry>stopped"},
      {"starting", "done>running error>stopped"},
      {"running", "adjust>adjusting freeze>freezing stop>stopping exited>stopped"},
      {"adjusting", "done>running error>running exited>stopped"},
      {"freezing", "done>frozen error>running exited>stopped"},
      {"frozen", "thaw>thawing stop>stopping exited>stopped"},
      {"thawing", "done>running error>frozen exited>stopped"},
      {"stopping", "done>stopped error>running exited>stopping"},
      {"rebuilding", "done>stopped error>stopped"},
      {"waiting", "delete>deleting give-up>failed retry>stopped"},
      {"failed", "delete>deleting retry>stopped"},
      {"deleting", "done>gone error>stopped"},
      {"gone", ""},
  };

  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    std::string line;
    for (size_t event = 0; event < kPhaseEventCount; ++event) {
      if (const std::optional<Phase> next = Next(PhaseAt(phase), EventAt(event))) {
        line += (line.empty() ? "" : " ") + std::string(kPhaseEventNames[event]) + ">" +
                std::string(kPhaseNames[static_cast<size_t>(*next)]);
      }
    }
    EXPECT_EQ(line, expected.at(std::string(kPhaseNames[phase])));
  }
}

TEST(ContainerStateTest, HasOneRowForAPhaseAndAnEvent) {
  std::set<std::pair<Phase, PhaseEvent>> seen;
  for (const PhaseTransition& row : kPhaseTransitions) {
    EXPECT_TRUE(seen.emplace(row.from, row.event).second);
  }
}

TEST(ContainerStateTest, EveryPhaseIsReachedAndLeadsToGone) {
  std::set<Phase> reached = {Phase::kStopped};
  for (bool grew = true; grew;) {
    grew = false;
    for (const PhaseTransition& row : kPhaseTransitions) {
      grew = (reached.contains(row.from) && reached.insert(row.to).second) || grew;
    }
  }
  EXPECT_EQ(reached.size(), kPhaseCount);

  std::set<Phase> ends = {Phase::kGone};
  for (bool grew = true; grew;) {
    grew = false;
    for (const PhaseTransition& row : kPhaseTransitions) {
      grew = (ends.contains(row.to) && ends.insert(row.from).second) || grew;
    }
  }
  EXPECT_EQ(ends.size(), kPhaseCount) << "some phase cannot be left for good";
}

TEST(ContainerStateTest, AnActionInFlightEndsWellOrBadly) {
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    EXPECT_EQ(Next(PhaseAt(phase), PhaseEvent::kDone).has_value(),
              Next(PhaseAt(phase), PhaseEvent::kError).has_value())
        << kPhaseNames[phase];
  }
}

}  // namespace
}  // namespace bramble::node
