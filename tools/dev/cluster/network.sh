# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The hosts of a cluster on one machine: network namespaces on one switch.  Sourced.
#
# Every name starts with $CLUSTER_PREFIX (at most 12 letters), so that whatever a killed run left is found
# by name.  Nothing of the host's own network is touched, but for one veth to reach the controller's page
# from this machine, when one is asked for.

: "${CLUSTER_PREFIX:?}"

# Runs a command in the network namespace of a host of the cluster: in_host node-1 ip addr.  Unlike `ip netns exec`
# it leaves the mount namespace alone, and so the cgroups.
in_host() {
  local host=$1
  shift
  nsenter --net="/run/netns/$CLUSTER_PREFIX-$host" "$@"
}

network_switch() {
  ip netns add "$CLUSTER_PREFIX-switch"
  in_host switch ip link add lan type bridge
  in_host switch ip link set lan up
  in_host switch ip link set lo up
}

# A host with eth0 plugged into the switch: network_host node-1 [172.16.0.1/24].
network_host() {
  local host=$1 address=${2:-}
  ip netns add "$CLUSTER_PREFIX-$host"
  ip -n "$CLUSTER_PREFIX-switch" link add "p-$host" type veth peer name eth0 \
    netns "$CLUSTER_PREFIX-$host"
  in_host switch ip link set "p-$host" master lan up
  in_host "$host" ip link set lo up
  in_host "$host" ip link set eth0 up
  [ -z "$address" ] || in_host "$host" ip address add "$address" dev eth0
}

# A cable between two hosts, beside the switch: network_cable controller up0 outside eth0.  The second is made.
network_cable() {
  local host=$1 interface=$2 other=$3 other_interface=$4
  ip netns add "$CLUSTER_PREFIX-$other"
  ip -n "$CLUSTER_PREFIX-$host" link add "$interface" type veth peer name "$other_interface" \
    netns "$CLUSTER_PREFIX-$other"
  in_host "$host" ip link set "$interface" up
  in_host "$other" ip link set lo up
  in_host "$other" ip link set "$other_interface" up
}

# A link from this machine to a host: network_uplink controller 169.254.77.1/30 169.254.77.2/30.
network_uplink() {
  local host=$1 here=$2 there=$3
  ip link add "$CLUSTER_PREFIX-up" type veth peer name up0 netns "$CLUSTER_PREFIX-$host"
  ip address add "$here" dev "$CLUSTER_PREFIX-up"
  ip link set "$CLUSTER_PREFIX-up" up
  in_host "$host" ip address add "$there" dev up0
  in_host "$host" ip link set up0 up
}

network_hosts() {
  ip netns list 2>/dev/null | awk '{print $1}' | sed -n "s/^$CLUSTER_PREFIX-//p"
}

# Ends every process in the cluster's namespaces (all of them are ours: nobody else knows them), then removes the
# namespaces.
network_remove() {
  local host pids round
  for round in TERM TERM KILL KILL KILL; do
    pids=
    for host in $(network_hosts); do
      pids="$pids $(ip netns pids "$CLUSTER_PREFIX-$host" 2>/dev/null | tr '\n' ' ')"
    done
    [ -n "${pids// /}" ] || break
    # shellcheck disable=SC2086  # a list of pids
    kill -s "$round" $pids 2>/dev/null || true
    sleep 0.5
  done
  for host in $(network_hosts); do
    ip netns delete "$CLUSTER_PREFIX-$host" || true
  done
  ip link delete "$CLUSTER_PREFIX-up" 2>/dev/null || true
}
