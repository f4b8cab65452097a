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
began=$SECONDS
expect_success 'the next run cleans up by itself, and all works' demo --check
printf 'tools/demo --check: %d s\n' $((SECONDS - began))
expect_success 'and leaves nothing' nothing_is_left
expect_success 'stopping what does not run is fine' demo --stop

# The script alone is told to end, as by Ctrl-C on what it runs or by a service manager, while a job of it makes an image.
nothing_makes_an_image() { ! pgrep -f "$scratch/(cache|demo/images)" >/dev/null; }
told_to_end() { # signal exit_status
  local script status=0 tries
  rm -rf "$scratch/cache"
  XDG_CACHE_HOME=$scratch/cache env --default-signal=INT "$BRAMBLE_SOURCE/tools/demo" --nodes 1 >"$scratch/ended.log" 2>&1 &
  script=$!
  for ((tries = 0; tries < 600; tries++)); do
    ! pgrep -f "$scratch/cache" >/dev/null || break
    kill -0 "$script" 2>/dev/null || break
    sleep 0.1
  done
  kill -s "$1" "$script"
  wait "$script" || status=$?
  expect_equal "$1 ends it" "$status" "$2"
  expect_success "$1 ends what it had begun too" nothing_makes_an_image
  expect_success "it can be stopped at once after $1" demo --stop
  expect_success "and nothing is left after $1" nothing_is_left
}
told_to_end INT 130
told_to_end TERM 143

# A check that fails shows why and takes all down; here no image can be unpacked.
failing=$scratch/failing
mkdir "$failing"
ln -s "$BRAMBLE_BIN"/* "$failing"
ln -sf /bin/false "$failing/bramble-unpack"
expect_failure 'a check that fails says so' 'all was taken down' \
  env BRAMBLE_DEMO_BIN="$failing" "$BRAMBLE_SOURCE/tools/demo" --check --nodes 1
expect_success 'and has taken all down' nothing_is_left

page_is_served() {
  local address
  address=$("$BRAMBLE_DEMO_STATE/bramble" container show web -o json | jq -r .status.address)
  ip netns exec "$BRAMBLE_DEMO_PREFIX-controller" curl -sf --max-time 5 "http://$address/" | grep -q 'Debian 12 container'
}
for time in first second; do
  expect_success "a demo that stays, the $time time" demo --nodes 2
  expect_success "its page is served, the $time time" page_is_served
done
expect_success 'it is stopped' demo --stop
expect_success 'and nothing of two is left' nothing_is_left
end_of_test
