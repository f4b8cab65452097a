#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Once its containers are deleted, removing the packages leaves no process, mount, group or interface behind.
set -euo pipefail
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/guest/inside/node.sh
source "$BRAMBLE_SOURCE/tests/guest/inside/node.sh"

processes() { pgrep -fa '[b]ramble-(node|runtime|unpack|lease|controller|monitor)'; }

expect_success 'delete the container' bramble container delete web
expect_success 'purge' env DEBIAN_FRONTEND=noninteractive apt-get purge -q -y bramble bramble-controller bramble-node
expect_failure 'no process' '^$' processes
expect_failure 'no mount' '^$' grep bramble /proc/self/mounts
expect_failure 'no port of a container' '^$' grep -o 'vb-[^:@]*' <(ip link)
expect_failure 'no group of a container' '^$' grep . <(find "$cgroups" -mindepth 1 -type d ! -name lxc.pivot 2>/dev/null)
expect_failure 'no unit' '^$' grep . <(systemctl list-units --all --no-legend --plain 'bramble*')
expect_equal 'what containers own is kept' "$([ -d "$node_state" ] && echo kept)" kept
end_of_test
