// SPDX-License-Identifier: Apache-2.0
#pragma once

// One command = one table row and one function.  Parsing, --help, completion and the tests all read
// the rows.

#include <string_view>
#include <vector>

#include "tools/bramble/args.h"

#include "absl/status/status.h"

namespace bramble::cli {

struct Session;

// What completion offers for a word.
enum class Completes {
  kNothing,
  kFiles,
  kNodes,
  kContainers,
  kImages,
  kFlavors,
  kKeys,
  kTokens,
  kOperations,
  kColumns
};

struct Flag {
  std::string_view name;   // without "--"
  std::string_view value;  // "SIZE" in the help; empty: a switch
  std::string_view help;
  char letter = 0;  // short form
  bool required = false;
  bool repeats = false;
  std::vector<std::string_view> choices = {};
  Completes completes = Completes::kNothing;
};

struct Positional {
  std::string_view name;  // "NAME"
  std::string_view help;
  Completes completes = Completes::kNothing;
  bool optional = false;
  bool repeats = false;  // only the last one
  std::vector<std::string_view> choices = {};
};

// Which of the shared flags a command takes.
enum class Answers {
  kNothing,    // none
  kObject,     // -o
  kList,       // -o, --columns, --filter
  kOperation,  // -o, --wait, --no-wait, --timeout
};

struct Command {
  std::string_view path;  // "node drain"
  std::string_view summary;
  std::vector<Positional> positionals = {};
  std::vector<Flag> flags = {};
  Answers answers = Answers::kNothing;
  std::string_view details = "";   // further lines of --help
  std::string_view examples = "";  // one command a line, at least one
  absl::Status (*run)(const Args& args, Session& session) = nullptr;
  bool hidden = false;
};

// Every command, in the order of the help.
const std::vector<Command>& AllCommands();

// The flags of every command, those that its `answers` add, and its own.
std::vector<Flag> FlagsOf(const Command& command);

}  // namespace bramble::cli
