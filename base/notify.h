// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace bramble {

// What this service tells systemd (sd_notify(3)).  Without systemd (NOTIFY_SOCKET is not set) every
// call does nothing.  Call from the loop.
class ServiceNotifier {
 public:
  // Start-up is complete.
  void Ready();
  void Stopping();
  // The line in `systemctl status`.
  void Status(std::string_view text);
  // "I am alive": more often than WatchdogInterval().
  void Watchdog();

  // Half the time after which systemd takes us for dead; nullopt when it does not watch us.
  static std::optional<std::chrono::microseconds> WatchdogInterval();
};

}  // namespace bramble
