// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <termios.h>

#include <optional>

namespace bramble::cli {

struct TerminalSize {
  int rows = 0;
  int columns = 0;
};
// nullopt: `fd` is no terminal, or does not know.
std::optional<TerminalSize> SizeOfTerminal(int fd);

// Raw mode while it exists; the terminal is put back as it was, also when the program is ended by
// SIGTERM, SIGHUP or SIGINT.  One at a time.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  // Puts it back now.
  void Restore();
};

}  // namespace bramble::cli
