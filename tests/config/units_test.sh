#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The systemd units say what they must: hardened where nothing is lost by it, and nothing that a container would inherit.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"

readonly units=$BRAMBLE_SOURCE/config/systemd

# The exposure that systemd-analyze computes, in tenths (18 is "1.8 OK"); lower is better.
exposure() { # unit
  systemd-analyze security --offline=yes "$units/$1" 2>/dev/null |
    sed -nE 's/.*Overall exposure level for [^ ]+: ([0-9]+)\.([0-9]).*/\1\2/p' | sed 's/^0//'
}

expect_exposure_at_most() { # unit tenths
  local tenths
  tenths=$(exposure "$1")
  printf '%s: exposure %s.%s of 10\n' "$1" "$((tenths / 10))" "$((tenths % 10))"
  if [ "$tenths" -le "$2" ]; then
    pass
  else
    fail "$1: exposure $tenths tenths, more than $2"
  fi
}

has() { grep -Fxq -- "$2" "$units/$1"; }

# systemd knows each key: `verify` names those it does not.
every_key_is_known() {
  local output
  output=$(systemd-analyze verify "$units"/*.service 2>&1 || true)
  ! grep -E 'Unknown|Failed to parse|Invalid' <<<"$output"
}

# What a service hands down to its children, or takes from them at a restart.
node_gives_containers_nothing() {
  ! grep -E '^(Protect|Private|Restrict|SystemCall|NoNewPrivileges|CapabilityBoundingSet|LockPersonality|MemoryDeny|ReadOnly|ReadWrite|Inaccessible|Bind|Temporary|RootDirectory|RootImage|DynamicUser|User|Mount|OOMScore|IPAddress|Device|Memory|CPU|RuntimeDirectory=)' \
    "$units/bramble-node.service"
}

expect_success "every key is known to systemd" every_key_is_known
expect_success "the node unit gives containers nothing" node_gives_containers_nothing
for line in KillMode=process Delegate=yes Type=notify Restart=always; do
  expect_success "the node unit says $line" has bramble-node.service "$line"
done
for unit in bramble-controller bramble-node; do
  expect_success "$unit has a watchdog" grep -Eq '^WatchdogSec=[0-9]+$' "$units/$unit.service"
done
for unit in bramble-controller bramble-node; do
  expect_success "$unit is not started again for a wrong configuration" has "$unit.service" 'RestartPreventExitStatus=2 78'
done
expect_failure "the lease holder is started again whatever happens" '' grep -q '^RestartPreventExitStatus' \
  "$units/bramble-lease-holder.service"
expect_exposure_at_most bramble-controller.service 20
expect_exposure_at_most bramble-lease-holder.service 15
expect_exposure_at_most bramble-node.service 96
end_of_test
