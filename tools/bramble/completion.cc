// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/completion.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "tools/bramble/command_line.h"
#include "tools/bramble/container_spec.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"

namespace bramble::cli {
namespace {

// config/completion holds the same three for the packages; completion_test.cc compares them.
constexpr std::string_view kBash = R"script(# SPDX-License-Identifier: Apache-2.0
# Completion of bramble for bash: source <(bramble completion bash)
_bramble() {
  local line cur words
  # Words as the shell sees them, with NAME:TAG in one piece.
  if declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref -n := -w words -c cur -i COMP_CWORD 2>/dev/null
  else
    words=("${COMP_WORDS[@]}")
    cur=${COMP_WORDS[COMP_CWORD]}
  fi
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = ":files" ]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur")
      return
    fi
    COMPREPLY+=("$line")
  done < <(bramble __complete -- "${words[@]:1:COMP_CWORD-1}" "$cur" 2>/dev/null)
  if declare -F __ltrim_colon_completions >/dev/null; then
    __ltrim_colon_completions "$cur"
  fi
}
complete -F _bramble bramble
)script";

constexpr std::string_view kZsh = R"script(#compdef bramble
# SPDX-License-Identifier: Apache-2.0
# Completion of bramble for zsh: source <(bramble completion zsh), or put this as _bramble into $fpath.
_bramble() {
  local -a candidates
  candidates=("${(@f)$(bramble __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "${candidates[1]}" == ":files" ]]; then
    _files
    return
  fi
  compadd -a candidates
}
if [ "$funcstack[1]" = "_bramble" ]; then
  _bramble "$@"
else
  compdef _bramble bramble
fi
)script";

constexpr std::string_view kFish = R"script(# SPDX-License-Identifier: Apache-2.0
# Completion of bramble for fish: bramble completion fish | source
function __bramble_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l candidates (bramble __complete -- $words[2..-1] "$current" 2>/dev/null)
    if test "$candidates[1]" = ":files"
        __fish_complete_path "$current"
        return
    end
    printf '%s\n' $candidates
end
complete -c bramble -f -a '(__bramble_complete)'
)script";

std::vector<std::string> Matching(const std::vector<std::string>& all, const std::string& typed) {
  std::vector<std::string> matching;
  for (const std::string& each : all) {
    const bool seen = std::find(matching.begin(), matching.end(), each) != matching.end();
    if (!seen && each.substr(0, typed.size()) == typed) {
      matching.push_back(each);
    }
  }
  return matching;
}

std::vector<std::string> Objects(const std::vector<Command>& commands) {
  std::vector<std::string> objects;
  for (const Command& command : commands) {
    if (!command.hidden) {
      objects.emplace_back(command.path.substr(0, command.path.find(' ')));
    }
  }
  return objects;
}

std::vector<std::string> Verbs(const std::vector<Command>& commands, const std::string& object) {
  std::vector<std::string> verbs;
  const std::string prefix = object + " ";
  for (const Command& command : commands) {
    if (!command.hidden && command.path.substr(0, prefix.size()) == prefix) {
      verbs.emplace_back(command.path.substr(prefix.size()));
    }
  }
  return verbs;
}

const Flag* FlagOf(const std::vector<Flag>& flags, const std::string& word) {
  for (const Flag& flag : flags) {
    if (word == StrCat("--", flag.name) ||
        (flag.letter != 0 && word == StrCat("-", std::string(1, flag.letter)))) {
      return &flag;
    }
  }
  return nullptr;
}

std::vector<std::string> ColumnNames(const Command& command) {
  std::vector<std::string> names = {"all"};
  for (const Resource* resource :
       {&ContainerResource(), &NodeResource(), &ImageResource(), &FlavorResource(), &KeyResource(),
        &TokenResource(), &OperationResource()}) {
    if (command.path == StrCat(resource->kind, " list")) {
      for (const Column& column : resource->columns) {
        names.emplace_back(column.name);
      }
    }
  }
  return names;
}

// The positional that the next word is; nullptr: none.
const Positional* NextPositional(const Command& command, const std::vector<Flag>& flags,
                                 const std::vector<std::string>& rest) {
  size_t count = 0;
  for (size_t i = 0; i < rest.size(); ++i) {
    const Flag* flag = FlagOf(flags, rest[i]);
    if (flag != nullptr && !flag->value.empty()) {
      ++i;
    } else if (rest[i].empty() || rest[i][0] != '-') {
      ++count;
    }
  }
  if (count < command.positionals.size()) {
    return &command.positionals[count];
  }
  const bool repeats = !command.positionals.empty() && command.positionals.back().repeats;
  return repeats ? &command.positionals.back() : nullptr;
}

}  // namespace

std::string_view CompletionScript(std::string_view shell) {
  return shell == "bash" ? kBash : shell == "zsh" ? kZsh : kFish;
}

std::vector<std::string> Candidates(
    const std::vector<Command>& commands, const std::vector<std::string>& words,
    const std::string& typed,
    const std::function<std::vector<std::string>(Completes what)>& names) {
  const CommandWords found = FindCommand(words, commands);
  if (found.command == nullptr) {
    return found.path.empty()       ? Matching(Objects(commands), typed)
           : found.path.size() == 1 ? Matching(Verbs(commands, found.path[0]), typed)
                                    : std::vector<std::string>();
  }
  const std::vector<Flag> flags = FlagsOf(*found.command);
  const auto offer = [&](Completes what, const std::vector<std::string_view>& choices) {
    if (!choices.empty()) {
      return Matching(std::vector<std::string>(choices.begin(), choices.end()), typed);
    }
    return what == Completes::kFiles     ? std::vector<std::string>{std::string(kFilesMark)}
           : what == Completes::kColumns ? Matching(ColumnNames(*found.command), typed)
           : what == Completes::kNothing ? std::vector<std::string>()
                                         : Matching(names(what), typed);
  };
  if (!found.rest.empty()) {
    const Flag* flag = FlagOf(flags, found.rest.back());
    if (flag != nullptr && !flag->value.empty()) {
      return offer(flag->completes, flag->choices);
    }
  }
  if (!typed.empty() && typed[0] == '-') {
    std::vector<std::string> all;
    for (const Flag& flag : flags) {
      all.push_back(StrCat("--", flag.name));
    }
    return Matching(all, typed);
  }
  const Positional* next = NextPositional(*found.command, flags, found.rest);
  return next == nullptr ? std::vector<std::string>() : offer(next->completes, next->choices);
}

}  // namespace bramble::cli
