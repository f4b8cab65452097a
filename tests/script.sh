# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a test script begins with: `source "$BRAMBLE_SOURCE/tests/script.sh"`.  It runs on with what fails and
# says at its end how many checks passed; bramble_script_test (cmake/bramble_targets.cmake) makes it a test.
set -euo pipefail
export LC_ALL=C

checks_passed=0
checks_failed=0
# A directory of the test's own, gone when it ends.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/bramble-test.XXXXXX")
readonly scratch
trap 'rm -rf "$scratch"' EXIT

pass() { checks_passed=$((checks_passed + 1)); }

fail() { # what went wrong
  checks_failed=$((checks_failed + 1))
  printf 'FAILED: %s\n' "$*"
}

# Ends the test as skipped; the reason is what tools/test prints.
skip_test() { # reason
  printf '%s\n' "$*"
  exit 77
}

# The command succeeds.  Its output is shown when it does not.
expect_success() { # name command…
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    pass
  else
    fail "$name: exit $?, output: $output"
  fi
}

# The command fails, and its output matches the extended regular expression.
expect_failure() { # name regex command…
  local name=$1 regex=$2 output
  shift 2
  if output=$("$@" 2>&1); then
    fail "$name: succeeded, output: $output"
  elif grep -Eq -- "$regex" <<<"$output"; then
    pass
  else
    fail "$name: failed otherwise than by /$regex/: $output"
  fi
}

expect_equal() { # name actual expected
  if [ "$2" = "$3" ]; then
    pass
  else
    fail "$1: got \"$2\", expected \"$3\""
  fi
}

# The last command of every test script.
end_of_test() {
  printf '%d checks passed, %d failed\n' "$checks_passed" "$checks_failed"
  [ "$checks_failed" -eq 0 ] && [ "$checks_passed" -gt 0 ]
}
