// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_events.h"

#include <algorithm>

#include "controller/catalog_services.h"

namespace bramble::controller {

class LedgerEvents::Live : public Subscription {
 public:
  Live(std::weak_ptr<Wakes> wakes, uint64_t number) : wakes_(std::move(wakes)), number_(number) {}
  ~Live() override {
    if (const auto wakes = wakes_.lock()) {
      wakes->erase(number_);
    }
  }

 private:
  std::weak_ptr<Wakes> wakes_;
  uint64_t number_;
};

LedgerEvents::LedgerEvents(Ledger& ledger) : ledger_(ledger) {
  ledger_.OnEvents([this] {
    const Wakes wakes = *wakes_;  // one may unsubscribe meanwhile
    for (const auto& [number, wake] : wakes) {
      if (wakes_->contains(number)) {
        wake();
      }
    }
  });
}

uint64_t LedgerEvents::Newest() const { return ledger_.durable_revision(); }

absl::StatusOr<std::vector<EventService::Seen>> LedgerEvents::Since(const Principal& who,
                                                                    uint64_t revision,
                                                                    size_t limit) {
  const State& state = ledger_.state();
  if (revision < state.events_begin()) {
    return absl::OutOfRangeError(StrCat("events up to revision ", state.events_begin(),
                                        " are no longer kept; list the objects anew"));
  }
  if (revision > Newest()) {
    return absl::OutOfRangeError(StrCat(
        "there is no revision ", revision, "; the newest is ", Newest(),
        ": a backup was restored, or the controller was rolled back; list the objects anew"));
  }
  std::vector<Seen> seen;
  const auto& events = state.events();
  auto next = std::upper_bound(
      events.begin(), events.end(), revision,
      [](uint64_t after, const EventRecord& event) { return after < event.revision; });
  for (; next != events.end() && next->revision <= ledger_.durable_revision(); ++next) {
    // Those of one revision are not torn apart: the revision is where a reader goes on.
    if (seen.size() >= limit && seen.back().revision != next->revision) {
      break;
    }
    if (May(who, Access::kRead, next->project)) {
      seen.push_back({next->revision, next->type, next->body});
    }
  }
  return seen;
}

std::unique_ptr<EventService::Subscription> LedgerEvents::Subscribe(std::function<void()> wake) {
  (*wakes_)[++next_] = std::move(wake);
  return std::make_unique<Live>(wakes_, next_);
}

}  // namespace bramble::controller
