// SPDX-License-Identifier: Apache-2.0
#include "node/clock/wall_setter.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/status.h"

namespace bramble::node {

std::optional<std::chrono::milliseconds> ClockStep(WallTime wall, WallTime right) {
  const auto step = right - wall;
  return step > kMaxClockError || step < -kMaxClockError ? std::optional(step) : std::nullopt;
}

bool SystemWallSetter::Allowed() {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  return ::syscall(SYS_capget, &header, data) == 0 &&
         (data[CAP_TO_INDEX(CAP_SYS_TIME)].effective & CAP_TO_MASK(CAP_SYS_TIME)) != 0;
}

bool SystemWallSetter::KeptByAnother() const {
  timex state{};
  return ::adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

absl::Status SystemWallSetter::Set(WallTime time) {
  const auto since = time.time_since_epoch();
  const auto whole = std::chrono::floor<std::chrono::seconds>(since);
  timespec to{};
  to.tv_sec = static_cast<time_t>(whole.count());
  to.tv_nsec = static_cast<long>(std::chrono::nanoseconds(since - whole).count());
  return ::clock_settime(CLOCK_REALTIME, &to) == 0 ? absl::OkStatus()
                                                   : ErrnoStatus(errno, "the system's clock");
}

WallTime BuildTimeFloor(const std::vector<std::filesystem::path>& files) {
  WallTime latest{};
  for (const std::filesystem::path& file : files) {
    struct stat about {};
    if (::stat(file.c_str(), &about) == 0) {
      latest = std::max(latest, WallTime(std::chrono::seconds(about.st_mtime)));
    }
  }
  return latest;
}

}  // namespace bramble::node
