// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/command_line.h"

#include <algorithm>
#include <set>

#include <CLI/CLI.hpp>

#include "base/status.h"
#include "tools/bramble/help.h"

namespace bramble::cli {
namespace {

bool IsFlag(const std::string& word) { return word.size() > 1 && word[0] == '-'; }

// Flags that may stand before the object and take a value, so that it is not read as the object.
bool TakesValue(const std::string& word) {
  static const std::set<std::string> with_value = {"-o",       "--output",  "--columns",
                                                   "--filter", "--timeout", "--controller"};
  return with_value.contains(word);
}

size_t Distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// --help asked for anywhere before "--".
bool AsksForHelp(const std::vector<std::string>& words) {
  const auto end = std::find(words.begin(), words.end(), "--");
  return std::any_of(words.begin(), end,
                     [](const std::string& word) { return word == "--help" || word == "-h"; });
}

absl::Status NoSuchCommand(const CommandWords& found, const std::vector<Command>& commands) {
  std::vector<std::string> objects;
  std::vector<std::string> verbs;
  for (const Command& command : commands) {
    if (command.hidden) {
      continue;
    }
    const size_t space = command.path.find(' ');
    objects.emplace_back(command.path.substr(0, space));
    if (space != std::string_view::npos && objects.back() == found.path[0]) {
      verbs.emplace_back(command.path.substr(space + 1));
    }
  }
  const bool object_known = !verbs.empty();
  if (object_known && found.path.size() < 2) {
    std::string all;
    for (const std::string& verb : verbs) {
      all = StrCat(all, all.empty() ? "" : ", ", verb);
    }
    return Misuse(StrCat("`bramble ", found.path[0], "` needs a verb: ", all, "\nSee `bramble ",
                         found.path[0], " --help`."));
  }
  const std::string& wrong = found.path[object_known ? 1 : 0];
  const std::string close = Closest(wrong, object_known ? verbs : objects);
  std::string message = object_known ? StrCat(found.path[0], " has no verb \"", wrong, "\"")
                                     : StrCat("there is no object \"", wrong, "\"");
  if (!close.empty()) {
    message =
        StrCat(message, "; did you mean \"", object_known ? found.path[0] + " " : "", close, "\"?");
  }
  return Misuse(
      StrCat(message, "\nSee `bramble ", object_known ? found.path[0] + " " : "", "--help`."));
}

// Has CLI11 read `rest` as the row says.
class RowParser {
 public:
  explicit RowParser(const Command& command)
      : command_(command), app_(std::string(command.summary), "bramble") {
    app_.set_help_flag("");
    app_.positionals_at_end(false);
    for (const Flag& flag : FlagsOf(command)) {
      Add(flag);
    }
    if (!command.positionals.empty()) {
      app_.add_option("positionals", positionals_, "")->expected(0, kMaxWords);
    }
  }

  absl::StatusOr<Args> Parse(std::vector<std::string> rest) {
    std::reverse(rest.begin(), rest.end());  // CLI11 takes them from the back
    try {
      app_.parse(std::move(rest));
    } catch (const CLI::ParseError& error) {
      return Misuse(StrCat(Explained(error), Hint()));
    }
    Args args;
    for (const auto& [name, option] : options_) {
      for (const std::string& value : option->results()) {
        args.AddFlag(name, value);
      }
    }
    BRAMBLE_RETURN_IF_ERROR(CheckPositionals());
    for (std::string& positional : positionals_) {
      args.AddPositional(std::move(positional));
    }
    return args;
  }

 private:
  static constexpr int kMaxWords = 10000;

  void Add(const Flag& flag) {
    std::string names = StrCat("--", flag.name);
    if (flag.letter != 0) {
      names = StrCat("-", std::string(1, flag.letter), ",", names);
    }
    CLI::Option* option = nullptr;
    if (flag.value.empty()) {
      option = app_.add_flag(names);
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    } else {
      option = app_.add_option(names);
      option->expected(1);
      option->multi_option_policy(flag.repeats ? CLI::MultiOptionPolicy::TakeAll
                                               : CLI::MultiOptionPolicy::TakeLast);
      option->allow_extra_args(false);
    }
    option->required(flag.required);
    if (!flag.choices.empty()) {
      std::vector<std::string> choices(flag.choices.begin(), flag.choices.end());
      std::string name(flag.name);
      option->check([choices, name](const std::string& value) {
        if (std::find(choices.begin(), choices.end(), value) != choices.end()) {
          return std::string();
        }
        std::string all;
        for (const std::string& choice : choices) {
          all = StrCat(all, all.empty() ? "" : ", ", choice);
        }
        return StrCat("--", name, " \"", value, "\": choose one of ", all);
      });
    }
    options_.emplace_back(flag.name, option);
  }

  std::string Explained(const CLI::ParseError& error) {
    if (dynamic_cast<const CLI::ValidationError*>(&error) != nullptr) {
      const std::string text = error.what();
      const size_t ours = text.find(": --");  // CLI11 puts the option's name before our words
      return ours == std::string::npos ? text : text.substr(ours + 2);
    }
    if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
      if (app_.remaining_size() > 0) {
        return ExplainedExtras();  // a misspelt flag is likelier than a forgotten one
      }
      for (const Flag& flag : FlagsOf(command_)) {
        if (flag.required && app_.get_option(StrCat("--", flag.name))->count() == 0) {
          return StrCat("`bramble ", command_.path, "` needs --", flag.name, " ", flag.value, " (",
                        flag.help, ")");
        }
      }
    }
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
      return ExplainedExtras();
    }
    return error.what();
  }

  std::string ExplainedExtras() {
    for (const std::string& word : app_.remaining()) {
      if (!IsFlag(word)) {
        return StrCat("`bramble ", command_.path, "` does not take \"", word, "\"");
      }
      std::vector<std::string> known;
      for (const Flag& flag : FlagsOf(command_)) {
        known.push_back(StrCat("--", flag.name));
      }
      const std::string close = Closest(word.substr(0, word.find('=')), known);
      return StrCat("`bramble ", command_.path, "` has no flag ", word,
                    close.empty() ? std::string() : StrCat("; did you mean ", close, "?"));
    }
    return "too many words";
  }

  absl::Status CheckPositionals() const {
    const std::vector<Positional>& wanted = command_.positionals;
    for (size_t i = positionals_.size(); i < wanted.size(); ++i) {
      if (!wanted[i].optional) {
        return Misuse(StrCat("`bramble ", command_.path, "` needs ", wanted[i].name, ": ",
                             wanted[i].help, Hint()));
      }
    }
    if (positionals_.size() > wanted.size() && !(!wanted.empty() && wanted.back().repeats)) {
      return Misuse(StrCat("`bramble ", command_.path, "` does not take \"",
                           positionals_[wanted.size()], "\"", Hint()));
    }
    for (size_t i = 0; i < positionals_.size() && i < wanted.size(); ++i) {
      const auto& choices = wanted[i].choices;
      if (!choices.empty() &&
          std::find(choices.begin(), choices.end(), positionals_[i]) == choices.end()) {
        std::string all;
        for (const std::string_view choice : choices) {
          all = StrCat(all, all.empty() ? "" : ", ", choice);
        }
        return Misuse(StrCat(wanted[i].name, " \"", positionals_[i], "\": choose one of ", all));
      }
    }
    return absl::OkStatus();
  }

  std::string Hint() const { return StrCat("\nSee `bramble ", command_.path, " --help`."); }

  const Command& command_;
  CLI::App app_;
  std::vector<std::pair<std::string, CLI::Option*>> options_;
  std::vector<std::string> positionals_;
};

}  // namespace

std::string Closest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = 1 + std::max<size_t>(1, word.size() / 3);
  for (const std::string& each : known) {
    const size_t distance = Distance(word, each);
    if (distance < best_distance) {
      best_distance = distance;
      best = each;
    }
  }
  return best;
}

CommandWords FindCommand(const std::vector<std::string>& words,
                         const std::vector<Command>& commands) {
  CommandWords found;
  bool done = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    done = done || word == "--";
    if (done || IsFlag(word)) {
      found.rest.push_back(word);
      if (!done && TakesValue(word) && i + 1 < words.size()) {
        found.rest.push_back(words[++i]);
      }
      continue;
    }
    found.path.push_back(word);
    const std::string path =
        found.path.size() == 1 ? word : StrCat(found.path[0], " ", found.path[1]);
    for (const Command& command : commands) {
      if (command.path == path) {
        found.command = &command;
      }
    }
    done = found.command != nullptr || found.path.size() == 2;
  }
  return found;
}

absl::StatusOr<Invocation> ParseCommandLine(const std::vector<std::string>& words,
                                            const std::vector<Command>& commands) {
  Invocation invocation;
  CommandWords found = FindCommand(words, commands);
  if (found.path.empty()) {
    if (AsksForHelp(words)) {
      invocation.help = OverviewHelp(commands);
      return invocation;
    }
    if (words == std::vector<std::string>{"--version"}) {
      return ParseCommandLine({"version"}, commands);
    }
    return Misuse(words.empty() ? StrCat("say what to do\n\n", OverviewHelp(commands))
                                : StrCat("say what to do, not only \"", words[0],
                                         "\"\nSee `bramble --help`."));
  }
  if (found.command == nullptr) {
    if (AsksForHelp(words) && !ObjectHelp(found.path[0], commands).empty()) {
      invocation.help = ObjectHelp(found.path[0], commands);
      return invocation;
    }
    return NoSuchCommand(found, commands);
  }
  if (AsksForHelp(found.rest)) {
    invocation.help = CommandHelp(*found.command);
    return invocation;
  }
  invocation.command = found.command;
  BRAMBLE_ASSIGN_OR_RETURN(invocation.args, RowParser(*found.command).Parse(found.rest));
  return invocation;
}

}  // namespace bramble::cli
