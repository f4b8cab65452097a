#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The shipped configuration is taken by the programs, and what stands in it as a default is the default.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
: "${BRAMBLE_BIN:=$BRAMBLE_SOURCE/build/debug/bin}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"

# Examples, not defaults: these lines stay comments.
readonly examples='^#(gateway|class) ='

in_effect() { # program file
  "$BRAMBLE_BIN/$1" --config "$2" --check-config
}

check() { # program file
  local shipped=$BRAMBLE_SOURCE/config/$2 spelt=$scratch/$2
  expect_success "$1 takes the shipped $2" in_effect "$1" "$shipped"
  sed -E -e "/$examples/!s/^#([a-z_]+ = )/\1/" "$shipped" >"$spelt"
  expect_success "$1 knows every key of $2" in_effect "$1" "$spelt"
  expect_equal "the defaults that $2 states are the defaults" \
    "$(in_effect "$1" "$spelt" 2>&1 || true)" "$(in_effect "$1" "$shipped" 2>&1 || true)"
  echo 'no_such_key = 1' >"$scratch/unknown.toml"
  expect_failure "$1 refuses an unknown key, with its line" 'unknown.toml:1.*no_such_key' \
    in_effect "$1" "$scratch/unknown.toml"
  expect_equal "$1 exits 78 for what is wrong in a file" "$(status in_effect "$1" "$scratch/unknown.toml")" 78
  expect_failure "$1, started, says what is wrong where, and what to do" \
    "error configuration_refused .*unknown.toml:1.*no_such_key.*--check-config.*systemctl restart $1" \
    "$BRAMBLE_BIN/$1" --config "$scratch/unknown.toml"
  expect_equal "and exits with what its unit does not start it again for" \
    "$(status "$BRAMBLE_BIN/$1" --config "$scratch/unknown.toml")" 78
  expect_equal "so it does without its file" "$(status "$BRAMBLE_BIN/$1" --config "$scratch/none.toml")" 78
  expect_equal "$1 exits 2 for a flag that it does not know" "$(status "$BRAMBLE_BIN/$1" --no-such-flag)" 2
}
status() {
  local status=0
  "$@" >/dev/null 2>&1 || status=$?
  printf '%s\n' "$status"
}

[ ! -x "$BRAMBLE_BIN/bramble-controller" ] || check bramble-controller controller.toml
check bramble-node node.toml
end_of_test
