#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real DHCP clients get their addresses of a real controller: dhclient, udhcpc, dhcpcd and systemd-networkd, and 250
# machines that are switched on at once.  Needs root.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/cluster.sh
source "$BRAMBLE_SOURCE/tests/cluster.sh"

bring_up() {
  mkdir -p "$CLUSTER_STATE/controller"
  cat >"$CLUSTER_STATE/controller/controller.toml" <<END
state_dir = "$CLUSTER_STATE/controller/state"
run_dir = "$CLUSTER_STATE/controller/run"
[network]
prefix = "172.16.0.0/22"
interface = "eth0"
END
  network_switch
  network_host controller
  network_host laptop
  controller_up
}

# In the laptop, with an empty /run and no udev, as a script: laptop_run SCRIPT.  It prints what it was given.
laptop_run() {
  in_host laptop ip address flush dev eth0
  in_host laptop unshare --mount bash -c '
    mount -t tmpfs tmpfs /run
    mount -t sysfs -o ro sysfs /sys
    '"$1"'
    ip -4 -o address show dev eth0'
}
has_address() { laptop_run "$2" 2>&1 | grep -E "inet $1/22 "; }

# Each waits at most 15 s.
# shellcheck disable=SC2016,SC2034  # the clients' scripts have variables of their own; they are named by ${!client}
readonly dhclient='printf "#!/bin/sh\n[ -z \"\$new_ip_address\" ] || ip address replace \$new_ip_address/22 dev eth0\n" >/run/s
  chmod +x /run/s
  timeout 15 dhclient -4 -1 -sf /run/s -lf /run/l -pf /run/p -cf /dev/null eth0 2>/dev/null
  kill "$(cat /run/p)"'
# shellcheck disable=SC2016
readonly udhcpc='printf "#!/bin/sh\n[ \"\$1\" != bound ] || ip address replace \$ip/22 dev eth0\n" >/run/s
  chmod +x /run/s
  timeout 15 udhcpc -i eth0 -n -q -f -s /run/s'
# shellcheck disable=SC2034
readonly dhcpcd='mkdir /run/e
  mount --bind /run/e /var/lib/dhcpcd
  timeout 15 dhcpcd -4 -1 -B -f /dev/null -c /bin/true --noarp -t 10 eth0'
# shellcheck disable=SC2016,SC2034
readonly networkd='mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
  chown -R systemd-network /run/systemd/netif
  printf "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n" >/run/systemd/network/10.network
  timeout 15 /usr/lib/systemd/systemd-networkd &
  for try in $(seq 70); do
    sleep 0.2
    ! ip -4 -o address show dev eth0 | grep -q 172.16. || break
  done
  trap "kill %1" EXIT'

clients_get_addresses() { # what pattern
  local client
  for client in dhclient udhcpc dhcpcd networkd; do
    expect_success "$client: $1" has_address "$2" "${!client}"
  done
}

strangers_are_not_answered() {
  expect_failure 'a stranger' '' has_address '172.16.*' "$udhcpc"
}

known_machines_get_theirs() {
  local mac
  mac=$(in_host laptop ip -o link show dev eth0 | grep -oE 'ether [0-9a-f:]+' | cut -d' ' -f2)
  expect_success 'reserve' cluster_cli address reserve laptop --address 172.16.0.9 --mac "$mac"
  sleep 1
  clients_get_addresses 'its reservation' '172\.16\.0\.9'
  expect_success 'release' cluster_cli address release laptop
}

guests_get_one_of_their_range() {
  expect_success 'guests on' cluster_cli network change --guests on
  expect_success 'dnsmasq has heard' wait_for 10 grep -q 'tag:!card' "$CLUSTER_STATE/controller/run/dnsmasq/dnsmasq.conf"
  sleep 1
  clients_get_addresses 'one of the guests' '172\.16\.3\.(3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-7])'
}

many_at_once_are_served() {
  expect_success 'a wider range' cluster_cli network change --guest-range 172.16.2.0-172.16.2.255 --containers 172.16.1.0-172.16.1.255
  expect_success 'dnsmasq has heard' wait_for 10 grep -q '172.16.2.255' "$CLUSTER_STATE/controller/run/dnsmasq/dnsmasq.conf"
  sleep 1
  expect_success '250 machines, each with an address of its own within 10 s' \
    in_host laptop "$BRAMBLE_SOURCE/tools/bench.d/dhcp_clients.py" eth0 250 10
}

bring_up
strangers_are_not_answered
known_machines_get_theirs
guests_get_one_of_their_range
many_at_once_are_served
end_of_test
