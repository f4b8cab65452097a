#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemons are confined in the running system as their files promise, fed their watchdogs, and hit no wall of AppArmor.
set -euo pipefail
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/guest/inside/node.sh
source "$BRAMBLE_SOURCE/tests/guest/inside/node.sh"

expect_exposure_at_most() { # unit tenths: as docs/spec.md has it
  local tenths
  tenths=$(systemd-analyze security "$1.service" 2>/dev/null |
    sed -nE 's/.*Overall exposure level for [^ ]+: ([0-9]+)\.([0-9]).*/\1\2/p')
  printf '%s: %s tenths\n' "$1" "$tenths"
  expect_at_least "exposure of $1, in tenths below the limit" "$(($2 - 10#$tenths))" 0
}

# What AppArmor kept from anything but a container.
denied_to_others() {
  dmesg | grep 'apparmor="DENIED"' | grep -v 'profile="bramble-container"'
}

fed() { # unit
  [ "$(unit "$1" WatchdogTimestampMonotonic)" -gt "$(($(unit "$1" ActiveEnterTimestampMonotonic) + 1000000))" ]
}

expect_exposure_at_most bramble-controller 18
expect_exposure_at_most bramble-lease-holder 10
expect_exposure_at_most bramble-node 96
for unit in bramble-controller bramble-node; do
  expect_success "$unit feeds its watchdog" wait_for 35 fed "$unit"
done
expect_failure 'AppArmor denied nothing to the daemons' '^$' denied_to_others
expect_failure 'nor did seccomp' '' grep -q 'comm="bramble.*SECCOMP\|SECCOMP.*comm="bramble' <(dmesg)
expect_failure 'no unit has failed' '' grep . <(systemctl list-units --failed --no-legend --plain)
expect_equal 'the controller is its own user' "$(ps -o user:32= -p "$(unit bramble-controller MainPID)")" bramble-controller
expect_success 'mask the controller: the machine comes back without it' systemctl mask bramble-controller
end_of_test
