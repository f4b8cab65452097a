#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# After a power cut, with no controller: pinned containers come back from the node's journal alone.  Then the controller.
set -euo pipefail
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/guest/inside/node.sh
source "$BRAMBLE_SOURCE/tests/guest/inside/node.sh"

id=$(cat /var/lib/guest/web.id)
address=$(cat /var/lib/guest/web.address)
readonly id address

expect_failure 'there is no controller' '' systemctl is-active --quiet bramble-controller
expect_success 'the node is up' wait_for 30 systemctl is-active bramble-node
expect_success 'the container runs' wait_for 60 init_of_id "$id"
expect_success 'its page is served' wait_for 30 page_at "$address"
expect_equal 'confined as before' "$(tr -d '\0' <"/proc/$(init_of_id "$id")/attr/current")" 'bramble-container (enforce)'
expect_success 'the node says what it runs' grep -Eq '^web +running' <(bramble-node status)
init=$(init_of_id "$id")
systemctl unmask bramble-controller
expect_success 'the controller starts' systemctl start bramble-controller
expect_success 'the node is back' wait_for 60 is node_state ready
expect_success 'and the container is known to run' wait_for 30 is state_of web running
expect_equal 'it was not started anew for that' "$(init_of web)" "$init"
end_of_test
