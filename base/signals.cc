// SPDX-License-Identifier: Apache-2.0
#include "base/signals.h"

#include <csignal>

namespace bramble {

void IgnoreSigpipe() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace bramble
