#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The packages install, their units come up under systemd, a cluster is made, a node joins it and a container runs.
set -euo pipefail
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/guest/inside/node.sh
source "$BRAMBLE_SOURCE/tests/guest/inside/node.sh"

readonly units=(bramble-controller bramble-lease-holder bramble-node)

install_packages() {
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y -o Dpkg::Use-Pty=0 \
    "$BRAMBLE_SOURCE"/packages/bramble{,-controller,-node}_*.deb
}

nothing_failed() { ! systemctl list-units --failed --no-legend --plain | grep .; }

configure() {
  cat >/etc/bramble/controller.toml <<TOML
name = "guests"
run_dir = "/run/bramble/controller"
[nodes]
addresses = ["$node_address:8444"]
TOML
  cat >/etc/bramble/node.toml <<TOML
join_token_file = "/etc/bramble/join-token"
start_jitter = "1ms"
[network]
port = "eth0"
address = "$node_address/24"
TOML
  systemctl restart bramble-controller bramble-node
}

must 'apt installs the packages' install_packages
for unit in "${units[@]}"; do
  expect_success "$unit is active" wait_for 30 systemctl is-active "$unit"
  expect_equal "$unit is enabled" "$(systemctl is-enabled "$unit")" enabled
  expect_equal "$unit tells systemd when it is ready" "$(unit "$unit" Type)" notify
done
expect_success 'the units start with what they are shipped with, unasked' nothing_failed
expect_success 'the node waits to be let in' wait_for 20 grep -q node <(bramble-node status)

must 'restart with a configuration' configure
must 'cluster init' wait_for 30 bramble cluster init
bramble token create -o name >/etc/bramble/join-token
must 'the node restarts with its token' systemctl restart bramble-node
must 'it joins' wait_for 60 is node_state ready

must 'an image is imported' bramble image import "$BRAMBLE_SOURCE/busybox.tar" --name busybox
must 'a container runs' bramble container run web --image busybox
expect_equal 'and says so' "$(state_of web)" running
expect_success 'its page is served' wait_for 20 page_at "$(container web .status.address)"
expect_equal 'a command runs in it' "$(inside web hostname)" web
expect_equal 'nothing is missing on this kernel' "$(record web '.degraded | join(" ")')" ''
id_of web >/var/lib/guest/web.id
container web .status.address >/var/lib/guest/web.address
end_of_test
