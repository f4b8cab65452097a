// SPDX-License-Identifier: Apache-2.0
#include "controller/signed_clock.h"

#include <algorithm>

namespace bramble::controller {

int64_t SignedClock::Now() {
  const int64_t stored = ledger_.state().cluster().highest_signed_time_ms;
  if (highest_ == 0) {
    highest_ = stored;
  }
  const int64_t wanted =
      std::max(highest_, static_cast<int64_t>(ledger_.clock().Wall().time_since_epoch().count()));
  if (wanted + kAheadMs / 2 > reserved_ && !reserving_ && ledger_.Writable().ok()) {
    reserving_ = true;
    const Principal system = Principal::System();
    Change change(ledger_, system, "cluster.time");
    ClusterRecord record = ledger_.state().cluster();
    const int64_t mark = wanted + kAheadMs;
    record.highest_signed_time_ms = mark;
    change.Put(std::move(record));
    change.OmitAudit();
    ledger_.Commit(std::move(change), [this, mark](absl::Status status) {
      reserving_ = false;
      reserved_ = status.ok() ? std::max(reserved_, mark) : reserved_;
    });
  }
  // Nothing durable yet in this run: what an earlier one reserved is safe to repeat.
  highest_ = std::max(highest_, std::min(wanted, std::max(reserved_, stored)));
  return highest_;
}

}  // namespace bramble::controller
