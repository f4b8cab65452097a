#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Attacks from inside a real container by raw sockets: every one is really sent, comes through from a port that nothing
# guards, and reaches nobody from a container.  Needs root.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/cluster.sh
source "$BRAMBLE_SOURCE/tests/cluster.sh"
readonly raw_send=$BRAMBLE_BIN/raw-send
[ -x "$raw_send" ] || skip_test 'raw-send is not built: it is for the machine that it is built on'

mac_of() { ip -n "$CLUSTER_PREFIX-$1" -json link show dev eth0 | jq -r ".[0].address"; }

# The end of a container's link on its node.
port_of() { container "$1" .id | sed -E 's/^(.*)(.{12})$/\2/; s/^/vb-/'; }

# A station on the node's bridge that is no container: plain NAME ADDRESS.
plain() {
  ip netns add "$CLUSTER_PREFIX-$1"
  ip -n "$CLUSTER_PREFIX-node-1" link add "pl-$1" type veth peer name eth0 netns "$CLUSTER_PREFIX-$1"
  in_host node-1 ip link set "pl-$1" master br0 up
  in_host "$1" ip address add "$2/24" dev eth0
  in_host "$1" ip link set eth0 up
}

netns() { printf '/run/netns/%s-%s=eth0\n' "$CLUSTER_PREFIX" "$1"; }

attack() { # own mac ip command…
  local own=$1 mac=$2 ip=$3
  shift 3
  python3 "$BRAMBLE_SOURCE/tests/system/spoof/spoof.py" --own "$own" --target "$(netns mark)" \
    --bystander "/proc/$(init_of victim)/ns/net=eth0" --bystander "$(netns laptop)" \
    --mac "$mac" --ip "$ip" --target-mac "$(mac_of mark)" --target-ip 172.16.0.241 --gateway 172.16.0.1 \
    --node 172.16.0.12 -- "$@"
}

in_attacker() { cluster_cli container exec attacker --interactive -- /raw-send eth0; }

bring_up() {
  network_switch
  network_host controller 172.16.0.1/24
  network_host laptop 172.16.0.250/24
  controller_up
  nodes_up 1
  busybox_image
  expect_success 'attacker' cluster_cli container run attacker --image busybox
  expect_success 'victim' cluster_cli container run victim --image busybox
  cluster_cli container push attacker "$raw_send" /raw-send --mode 0755
  plain mark 172.16.0.241
  plain free 172.16.0.242
}

field() { sed -E "s/.* $2=([0-9]+).*/\1/" <<<"$1"; }

# The attacks from the open port do reach everybody: nodes and controller look for each other where they are not.
what_the_open_port_taught_is_forgotten() {
  local host
  ip netns delete "$CLUSTER_PREFIX-free"
  for host in node-1 controller laptop mark; do
    in_host "$host" ip neigh flush all
  done
  expect_success 'the cluster has recovered' wait_for 60 cluster_cli container exec attacker -- true
}

every_attack_is_stopped() {
  local line name open own attacks=0
  export -f in_attacker cluster_cli in_host
  export CLUSTER_PREFIX CLUSTER_STATE CLUSTER_BIN
  # From the open port without what the kernel itself refuses, so that every attack comes through.
  in_host node-1 sh -c 'echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables'
  attack "$(netns free)" "$(mac_of free)" 172.16.0.242 \
    nsenter --net="/run/netns/$CLUSTER_PREFIX-free" "$raw_send" eth0 >"$scratch/open"
  in_host node-1 sh -c 'echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables'
  what_the_open_port_taught_is_forgotten
  attack "/run/netns/$CLUSTER_PREFIX-node-1=$(port_of attacker)" "$(container attacker .status.mac)" \
    "$(container attacker .status.address)" bash -c in_attacker >"$scratch/guarded"
  while read -r line; do
    name=${line%% *}
    attacks=$((attacks + 1))
    own=$(field "$line" own)
    open=$(grep "^$name " "$scratch/open")
    if [[ $line != *' bystanders='* ]]; then
      fail "$line"
    elif [ "$own" -eq 0 ]; then
      fail "$name was never sent: the test shows nothing"
    elif [ "$(($(field "$open" target) + $(field "$open" bystanders)))" -eq 0 ]; then
      fail "$name reaches nobody from an open port either: the test shows nothing ($open)"
    elif [ "$(($(field "$line" target) + $(field "$line" bystanders)))" -ne 0 ]; then
      fail "$line: it got through"
    else
      pass
    fi
  done <"$scratch/guarded"
  printf '%d attacks\n' "$attacks"
  expect_success 'at least 40 attacks' test "$attacks" -ge 40
}

the_bridge_has_learned_nothing_false() {
  expect_equal 'MACs behind the attacker' \
    "$(in_host node-1 bridge fdb show dev "$(port_of attacker)" | grep -v permanent | awk '{ print $1 }' | sort -u)" \
    "$(container attacker .status.mac)"
}

honest_traffic_passes() {
  expect_success 'the attacker itself still reaches the LAN' \
    cluster_cli container exec attacker -- ping -q -c 1 -W 2 172.16.0.250
  expect_success 'who may ping is said' cluster_cli security-group rule default add in icmp
  expect_success 'and others are reached' wait_for 10 in_host laptop busybox ping -q -c 1 -W 2 "$(address_of victim)"
}

bring_up
every_attack_is_stopped
the_bridge_has_learned_nothing_false
honest_traffic_passes
end_of_test
