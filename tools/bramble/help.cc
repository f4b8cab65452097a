// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/help.h"

#include "base/strings.h"

namespace bramble::cli {
namespace {

constexpr size_t kWidth = 96;

// "  LEFT    RIGHT", the right wrapped at kWidth below itself.
std::string Row(std::string_view left, std::string_view right, size_t column) {
  std::string text = StrCat("  ", left);
  if (text.size() + 2 > column) {
    text += '\n';
    text += std::string(column, ' ');
  } else {
    text.resize(column, ' ');
  }
  size_t at = column;
  while (!right.empty()) {
    const size_t space = right.find(' ');
    const std::string_view word = right.substr(0, space);
    if (at > column && at + 1 + word.size() > kWidth) {
      text += '\n';
      text += std::string(column, ' ');
      at = column;
    }
    if (at > column) {
      text += ' ';
      ++at;
    }
    text += word;
    at += word.size();
    right = space == std::string_view::npos ? "" : right.substr(space + 1);
  }
  return text + "\n";
}

std::string UsageOf(const Command& command) {
  std::string usage = StrCat("Usage: bramble ", command.path);
  for (const Positional& positional : command.positionals) {
    const std::string name = StrCat(positional.name, positional.repeats ? "..." : "");
    usage = positional.optional ? StrCat(usage, " [", name, "]") : StrCat(usage, " ", name);
  }
  for (const Flag& flag : command.flags) {
    if (flag.required) {
      usage = StrCat(usage, " --", flag.name, " ", flag.value);
    }
  }
  return StrCat(usage, " [--flags]\n");
}

std::string FlagRow(const Flag& flag) {
  std::string left = flag.letter == 0 ? StrCat("    --", flag.name)
                                      : StrCat("-", std::string(1, flag.letter), ", --", flag.name);
  if (!flag.value.empty()) {
    left = StrCat(left, " ", flag.value);
  }
  std::string right(flag.help);
  if (!flag.choices.empty()) {
    std::string all;
    for (const std::string_view choice : flag.choices) {
      all = StrCat(all, all.empty() ? "" : "|", choice);
    }
    right = StrCat(right, " (", all, ")");
  }
  if (flag.repeats) {
    right += " (may repeat)";
  }
  return Row(left, right, 32);
}

std::string Lines(std::string_view heading, std::string_view lines) {
  std::string text = StrCat("\n", heading, "\n");
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    text = StrCat(text, "  ", lines.substr(0, end), "\n");
    lines = end == std::string_view::npos ? "" : lines.substr(end + 1);
  }
  return text;
}

}  // namespace

std::string OverviewHelp(const std::vector<Command>& commands) {
  std::string text =
      "Usage: bramble OBJECT VERB [NAME] [--flags]\n\n"
      "The command line of a Bramble cluster.\n\nObjects and their verbs:\n";
  std::string object;
  std::string verbs;
  const auto flush = [&text, &object, &verbs] {
    if (!object.empty()) {
      text += Row(object, verbs, 16);
    }
  };
  for (const Command& command : commands) {
    if (command.hidden) {
      continue;
    }
    const size_t space = command.path.find(' ');
    const std::string_view first = command.path.substr(0, space);
    if (first != object) {
      flush();
      object = first;
      verbs = space == std::string_view::npos ? command.summary : "";
    }
    if (space != std::string_view::npos) {
      verbs = StrCat(verbs, verbs.empty() ? "" : " ", command.path.substr(space + 1));
    }
  }
  flush();
  text +=
      "\nData goes to stdout, talk to stderr. Exit: 0 done, 1 failed, 2 the command line is "
      "wrong.\n"
      "Environment: BRAMBLE_CONTROLLER (as --controller), BRAMBLE_CONFIG (the directory of the\n"
      "credentials; ~/.config/bramble by default), NO_COLOR.\n";
  text += Lines("Examples:",
                "bramble node list\n"
                "bramble container run web --image debian:12\n"
                "bramble container exec -ti web -- bash\n"
                "bramble container run --help");
  return text;
}

std::string ObjectHelp(std::string_view object, const std::vector<Command>& commands) {
  std::string text;
  std::string_view example;
  for (const Command& command : commands) {
    const size_t space = command.path.find(' ');
    if (command.hidden || space == std::string_view::npos ||
        command.path.substr(0, space) != object) {
      continue;
    }
    if (text.empty()) {
      text = StrCat("Usage: bramble ", object, " VERB [NAME] [--flags]\n\nVerbs:\n");
      example = command.examples.substr(0, command.examples.find('\n'));
    }
    text += Row(command.path.substr(space + 1), command.summary, 16);
  }
  return text.empty() ? text
                      : StrCat(text, Lines("Example:", example), "\n`bramble ", object,
                               " VERB --help` says more.\n");
}

std::string CommandHelp(const Command& command) {
  std::string text = StrCat(UsageOf(command), "\n", command.summary, "\n");
  if (!command.details.empty()) {
    text = StrCat(text, "\n", command.details, "\n");
  }
  if (!command.positionals.empty()) {
    text += "\nArguments:\n";
    for (const Positional& positional : command.positionals) {
      text += Row(positional.name, positional.help, 16);
    }
  }
  text += "\nFlags:\n";
  for (const Flag& flag : FlagsOf(command)) {
    text += FlagRow(flag);
  }
  const bool one = command.examples.find('\n') == std::string_view::npos;
  return text + Lines(one ? "Example:" : "Examples:", command.examples);
}

}  // namespace bramble::cli
