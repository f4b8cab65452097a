#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A container is confined by AppArmor too, by a profile of its own, in force from its first process on.
set -euo pipefail
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/guest/inside/node.sh
source "$BRAMBLE_SOURCE/tests/guest/inside/node.sh"

profile_of() { tr -d '\0' <"/proc/$1/attr/current"; } # pid

readonly profile='bramble-container (enforce)'

expect_equal "init is confined" "$(profile_of "$(init_of web)")" "$profile"
expect_equal 'so is a command' "$(inside web 'cat /proc/self/attr/current' | tr -d '\0')" "$profile"
expect_equal 'nothing is missing' "$(record web '.degraded | join(" ")')" ''
expect_failure 'the node has nothing to complain of' '' grep 'no-lsm' <(bramble node show guest -o json)
# Root in there may mount, by its capabilities: not this.
expect_failure 'the profile keeps mounts out' 'denied' inside web 'mkdir -p /tmp/m && mount -t ramfs none /tmp/m'
expect_success 'the kernel says that it was the profile' grep -q 'apparmor="DENIED".*profile="bramble-container".*fstype="ramfs"' <(dmesg)
expect_success 'and leaves the usual ones in' inside web 'mount -t tmpfs none /tmp/m && umount /tmp/m'

# Without the profile containers run, and the node says what is missing.
expect_success 'take it away' apparmor_parser --remove /usr/share/bramble/bramble-container.apparmor
must 'a container runs without it' bramble container run bare --image busybox
expect_equal 'unconfined' "$(profile_of "$(init_of bare)")" unconfined
expect_equal 'and says so' "$(record bare '.degraded | join(" ")')" apparmor
expect_success 'so does the node' grep -q 'bramble-container is not loaded' <(bramble-node status)
expect_success 'delete it' bramble container delete bare
expect_success 'a start of the agent loads it' systemctl restart bramble-node
expect_success 'for new containers' grep -qxF "$profile" /sys/kernel/security/apparmor/profiles
# Those that ran are unconfined since it was taken away: they need a start.
expect_success 'the node is back' wait_for 60 is node_state ready
expect_success 'start it anew' bramble container restart web
expect_equal 'confined again' "$(profile_of "$(init_of web)")" "$profile"
end_of_test
