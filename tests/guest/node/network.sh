#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The packet filter on Debian's kernel: security groups with their connections, forged frames, and a flush by somebody else.
set -euo pipefail
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/guest/inside/node.sh
source "$BRAMBLE_SOURCE/tests/guest/inside/node.sh"

readonly gateway=172.16.0.1 gateway_mac=02:00:00:00:00:01 unused=172.16.0.199
web=$(container web .status.address)
readonly web
mac=$(container web .status.mac)
readonly mac

# A machine on the node's LAN: station NAME ADDRESS.
station() {
  ip netns add "$1"
  ip link add "st-$1" type veth peer name eth0 netns "$1"
  ip link set "st-$1" master br0 up
  ip -n "$1" address add "$2/24" dev eth0
  ip -n "$1" link set eth0 up
}
at() { ip netns exec "$@"; } # station command…
page_from() { at "$1" curl -sf --max-time 3 "http://$2/"; } # station address
no_page_from() { ! page_from "$@"; }

# Who the laptop takes the gateway for, once it has heard whatever there is to hear.
gateway_is() { [ "$(ip -n laptop -json neigh show "$gateway" dev eth0 | jq -r '.[0].lladdr')" = "$1" ]; }
gateway_known() { ip -n laptop neigh replace "$gateway" lladdr "$gateway_mac" dev eth0 nud stale; }
heard() { ip -n laptop neigh show dev eth0 | grep -qiE "$1"; } # pattern

in_force() { nft list chain bridge bramble port && nft list map inet bramble in; }

it_stands_on_what_the_kernel_has() {
  expect_success 'bridged packets come to the filter' grep -qx 1 /proc/sys/net/bridge/bridge-nf-call-iptables
  expect_success 'its tables are there' in_force
  expect_failure 'the node misses nothing' '' grep -E 'br_netfilter|network-failed' <(bramble-node status)
}

groups_are_stateful() {
  expect_failure 'the LAN is kept out' '' page_from laptop "$web"
  expect_failure 'pings too' '' at laptop ping -q -c 1 -W 2 "$web"
  expect_success 'out is open, and answers come back' inside web 'ping -q -c 2 -W 5 172.16.0.240'
  expect_success 'open a port' bramble security-group rule default add in tcp 80
  expect_success 'it is open' wait_for 10 page_from laptop "$web"
  expect_failure 'that port alone' '' at laptop ping -q -c 1 -W 2 "$web"
  expect_success 'close it' bramble security-group rule default delete in tcp 80
  expect_success 'it is closed' wait_for 10 no_page_from laptop "$web"
  expect_success 'the controller is there for the LAN' at laptop curl -skf --max-time 10 "https://$node_address:8443/healthz"
  expect_failure 'and not for containers' '' inside web "nc -w 3 $node_address 8443 </dev/null"
}

# Each forged frame gets through from a port that nothing guards, so that its absence means something.
forged_frames_are_dropped() {
  gateway_known
  ip -n open address add "$gateway/32" dev eth0
  at open ping -q -c 1 -W 2 -I "$gateway" 172.16.0.240 || true
  ip -n open address del "$gateway/32" dev eth0
  expect_failure 'an open port can claim the gateway' '' gateway_is "$gateway_mac"
  gateway_known
  inside web "ip address add $gateway/32 dev eth0; ping -q -c 1 -W 2 -I $gateway 172.16.0.240; arping -U -c 2 -I eth0 -s $gateway $gateway
    ip address del $gateway/32 dev eth0" || true
  expect_success 'a container cannot' gateway_is "$gateway_mac"

  ip -n open address add "$unused/24" dev eth0
  expect_success 'an open port can use any address' at open ping -q -c 1 -W 5 -I "$unused" 172.16.0.240
  ip -n open address del "$unused/24" dev eth0
  inside web "ip address add $unused/24 dev eth0"
  ip -n laptop neigh flush all
  expect_failure 'a container cannot' '' inside web "ping -q -c 2 -W 2 -I $unused 172.16.0.240"
  expect_failure 'nothing of it was heard' '' heard "^$unused .*lladdr"
  inside web "ip address del $unused/24 dev eth0"

  inside web 'ip link set dev eth0 address 02:66:66:66:66:66'
  expect_failure 'nor another MAC' '' inside web 'ping -q -c 2 -W 2 172.16.0.240'
  expect_failure 'nothing of that was heard' '' heard '02:66:66:66:66:66'
  inside web "ip link set dev eth0 address $mac"
  expect_success 'its own works again' wait_for 20 inside web 'ping -q -c 1 -W 5 172.16.0.240'
}

a_flush_is_undone() {
  nft flush ruleset
  expect_success 'the tables are back' wait_for 10 in_force
  expect_failure 'and closed' '' page_from laptop "$web"
  expect_success 'answers come back' wait_for 20 inside web 'ping -q -c 1 -W 5 172.16.0.240'
  expect_success 'it is told' grep -q firewall_restored <(journalctl -u bramble-node --no-pager)
}

station laptop 172.16.0.240
station open 172.16.0.241
it_stands_on_what_the_kernel_has
groups_are_stateful
forged_frames_are_dropped
a_flush_is_undone
ip netns delete laptop
ip netns delete open
end_of_test
