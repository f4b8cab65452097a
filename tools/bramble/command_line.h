// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tools/bramble/command.h"

#include "absl/status/statusor.h"

namespace bramble::cli {

// What a command line asks for: a command with its arguments, or a help text.
struct Invocation {
  const Command* command = nullptr;
  Args args;
  std::string help;  // not empty: print this instead
};

// `words` is argv without the program's name.  Flags may stand before the object.  A Misuse says
// what to write instead.
absl::StatusOr<Invocation> ParseCommandLine(const std::vector<std::string>& words,
                                            const std::vector<Command>& commands);

// Where the words of a command are among `words`: "node" "list".
struct CommandWords {
  const Command* command = nullptr;  // nullptr: none matches
  std::vector<std::string> path;     // what was written, one or two words
  std::vector<std::string> rest;     // all other words, in their order
};
CommandWords FindCommand(const std::vector<std::string>& words,
                         const std::vector<Command>& commands);

// The closest of `known` to `word`, or "" when none is close.
std::string Closest(const std::string& word, const std::vector<std::string>& known);

}  // namespace bramble::cli
