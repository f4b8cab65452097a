// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/first_start_command.h"

#include <charconv>

#include "base/strings.h"

namespace bramble::node {
namespace {

// Under systemd the scripts wait until it has booted, two minutes at most: they may want services.
constexpr std::string_view kRun = R"sh(
trap '' HUP
cd / || exit 1
case $(readlink /sbin/init) in *systemd)
  i=0
  while [ $i -lt 120 ]; do
    case $(systemctl is-system-running 2>/dev/null) in
      running|degraded) break ;;
      offline) [ $i -lt 10 ] || break ;;  # it has not begun, or is not what runs
    esac
    i=$((i + 1))
    sleep 1
  done ;;
esac
code=0
for script in "$1"/scripts/*; do
  [ -f "$script" ] || continue
  echo "bramble: ${script##*/}"
  "$script"
  ended=$?
  [ $ended -eq 0 ] || echo "bramble: ${script##*/}: exit code $ended"
  [ $code -ne 0 ] || code=$ended
done
echo $code >"$1/ended.new" && mv "$1/ended.new" "$1/ended"
)sh";

constexpr std::string_view kCommand = R"sh(
umask 077
if mkdir "$1/begun" 2>/dev/null; then
  (umask 022; mkdir -p "${2%/*}")
  : >>"$2"
  session=$(command -v setsid)
  (umask 022; exec $session /bin/sh -c "$3" bramble "$1" </dev/null >>"$2" 2>&1) &
  echo $! >"$1/begun/pid"
fi
i=0
while [ $i -lt "$4" ]; do
  [ ! -e "$1/ended" ] || { echo "ended $(cat "$1/ended")"; exit; }
  pid=$(cat "$1/begun/pid" 2>/dev/null)
  if [ -z "$pid" ]; then
    gone=$((i >= 10))  # who was to run them did not get so far
  else
    gone=0
    kill -0 "$pid" 2>/dev/null || gone=1
  fi
  if [ $gone -eq 1 ] && [ ! -e "$1/ended" ]; then
    echo cut-off
    exit
  fi
  i=$((i + 1))
  sleep 1
done
echo due
)sh";

}  // namespace

std::vector<std::string> FirstStartCommand() {
  return {"/bin/sh",
          "-c",
          std::string(kCommand),
          "bramble",
          kFirstStartDirectory,
          kFirstStartLog,
          std::string(kRun),
          StrCat(kFirstStartSeconds)};
}

std::optional<int> ParseExitCode(std::string_view text) {
  if (text.ends_with('\n')) {
    text.remove_suffix(1);
  }
  int code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  const bool whole = error == std::errc() && end == text.data() + text.size() && !text.empty();
  return whole && code >= 0 && code <= 255 ? std::optional(code) : std::nullopt;
}

FirstStart ParseFirstStart(std::string_view printed) {
  constexpr std::string_view kEnded = "ended ";
  if (printed == "due\n") {
    return {.state = FirstStart::State::kDue};
  }
  if (printed.starts_with(kEnded)) {
    const auto code = ParseExitCode(printed.substr(kEnded.size()));
    if (code.has_value()) {
      return {.state = FirstStart::State::kEnded, .code = *code};
    }
  }
  return {.state = FirstStart::State::kCutOff};
}

}  // namespace bramble::node
