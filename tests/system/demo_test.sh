#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/demo: it checks itself, cleans up after having been killed in the middle, and stops what it started.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}" "${BRAMBLE_BIN:=$BRAMBLE_SOURCE/build/debug/bin}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
[ "$(id -u)" -eq 0 ] || skip_test 'needs root'

# A demo of its own: one that a person has running stays.
export BRAMBLE_DEMO_PREFIX=brtest BRAMBLE_DEMO_STATE=$scratch/demo BRAMBLE_DEMO_BIN=$BRAMBLE_BIN
demo() { "$BRAMBLE_SOURCE/tools/demo" "$@"; }
trap 'demo --stop >/dev/null 2>&1 || true; rm -rf "$scratch"' EXIT

nothing_is_left() {
  ! ip netns list | grep -q "^$BRAMBLE_DEMO_PREFIX-" &&
    [ -z "$(find /sys/fs/cgroup -name "$BRAMBLE_DEMO_PREFIX")" ] &&
    [ ! -e "$BRAMBLE_DEMO_STATE" ] &&
    ! grep -q "$BRAMBLE_DEMO_STATE" /proc/self/mounts &&
    ! losetup --list --noheadings --output BACK-FILE | grep -q "$BRAMBLE_DEMO_STATE"
}

# The image is made once for all runs, and may take longer than a run itself.
"$BRAMBLE_SOURCE/tools/dev/image-debian" "$scratch/debian.tar.zst"
rm "$scratch/debian.tar.zst"

# Killed at a moment that the state of the demo tells.
kill_when() { # condition…
  setsid "$BRAMBLE_SOURCE/tools/demo" --nodes 2 >"$scratch/killed.log" 2>&1 &
  local script=$! tries
  for ((tries = 0; tries < 1200; tries++)); do
    ! "$@" || break
    kill -0 "$script" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL -- "-$script" 2>/dev/null || true
  wait "$script" 2>/dev/null || true
}

# Whatever a group answers that goes meanwhile: what is found counts.
some_container_runs() {
  [ -n "$(find /sys/fs/cgroup -path "*/$BRAMBLE_DEMO_PREFIX/node-*" -name cgroup.procs -path '*bramble*' \
    -exec cat {} + 2>/dev/null)" ]
}

kill_when some_container_runs
expect_success 'a container ran when it was killed' some_container_runs
expect_success 'it stops what a killed one left' demo --stop
expect_success 'and nothing is left' nothing_is_left

kill_when test -d "/sys/fs/cgroup/pids/$BRAMBLE_DEMO_PREFIX/node-1" -o -d "/sys/fs/cgroup/$BRAMBLE_DEMO_PREFIX/node-1"
expect_success 'the next run cleans up by itself, and all works' demo --check
expect_success 'and leaves nothing' nothing_is_left
expect_success 'stopping what does not run is fine' demo --stop
end_of_test
