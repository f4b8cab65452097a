// SPDX-License-Identifier: Apache-2.0
#include "base/notify.h"

#include <string>

#include <systemd/sd-daemon.h>

#include "base/strings.h"

namespace bramble {

// sd_notify without NOTIFY_SOCKET does nothing and says so by 0; its failures concern nobody here.
void ServiceNotifier::Ready() { sd_notify(0, "READY=1"); }
void ServiceNotifier::Stopping() { sd_notify(0, "STOPPING=1"); }
void ServiceNotifier::Watchdog() { sd_notify(0, "WATCHDOG=1"); }
void ServiceNotifier::Status(std::string_view text) {
  std::string line(text.substr(0, text.find('\n')));
  sd_notify(0, StrCat("STATUS=", line).c_str());
}

std::optional<std::chrono::microseconds> ServiceNotifier::WatchdogInterval() {
  uint64_t limit_us = 0;
  if (sd_watchdog_enabled(0, &limit_us) <= 0 || limit_us == 0) {
    return std::nullopt;
  }
  return std::chrono::microseconds(limit_us / 2);
}

}  // namespace bramble
