# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Rows of tools/bench network: what filtering costs the path between containers on two nodes.  Sourced by
# tools/bench.d/network.sh.
#
# Two nodes and a switch, each a network namespace with a bridge, and a container on either node.  The bare path is the
# same one without a rule and without br_netfilter; all are measured in turns of one run.

readonly path_prefix=brbpath path_turns=${BRAMBLE_BENCH_TURNS:-3} path_seconds=3

path_in() { # namespace command…
  local where=$1
  shift
  ip netns exec "$path_prefix-$where" "$@"
}

path_down() {
  local where
  for where in switch n1 n2 c1 c2; do
    ip netns pids "$path_prefix-$where" 2>/dev/null | xargs -r kill 2>/dev/null || true
    ip netns delete "$path_prefix-$where" 2>/dev/null || true
  done
}

path_bridge() { # namespace
  ip netns add "$path_prefix-$1"
  path_in "$1" ip link add br0 type bridge forward_delay 0
  path_in "$1" ip link set br0 up
}

path_cable() { # namespace port namespace port [mac]
  ip -n "$path_prefix-$1" link add "$2" type veth peer name "$4" ${5:+address "$5"} netns "$path_prefix-$3"
  path_in "$1" ip link set "$2" up
  path_in "$3" ip link set "$4" up
}

path_up() {
  local number
  path_down
  path_bridge switch
  for number in 1 2; do
    path_bridge "n$number"
    path_cable switch "p$number" "n$number" eth0
    path_in switch ip link set "p$number" master br0
    path_in "n$number" ip link set eth0 master br0
    ip netns add "$path_prefix-c$number"
    path_cable "n$number" "vb-c$number" "c$number" eth0 "02:00:00:00:00:0$number"
    path_in "n$number" ip link set "vb-c$number" master br0
    path_in "c$number" ip address add "172.31.97.$number/24" dev eth0
  done
  path_in switch sh -c 'echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables'
  path_in c2 iperf3 --server --daemon >/dev/null
  sleep 0.5
}

path_rules() { # bare | number of rules
  local number
  for number in 1 2; do
    path_in "n$number" nft flush ruleset
    if [ "$1" = bare ]; then
      path_in "n$number" sh -c 'echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables'
    else
      path_in "n$number" sh -c 'echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables'
      "$bench_build/bench/bench-network-rules" print "$1" "vb-c$number" "02:00:00:00:00:0$number" \
        "172.31.97.$number" | path_in "n$number" nft -f -
    fi
  done
}

path_gbit() {
  path_in c1 iperf3 --client 172.31.97.2 --time "$path_seconds" --omit 1 --json |
    jq '.end.sum_received.bits_per_second / 1e6 | round / 1000'
}

path_measure() {
  local results turn rules
  results=$(mktemp -d)
  path_up
  for ((turn = 0; turn < path_turns; turn++)); do
    for rules in bare 0 1000; do
      path_rules "$rules"
      path_gbit >>"$results/$rules"
    done
  done
  for rules in 0 1000; do
    row "network.path_${rules}_rules" Gbit/s "$(median <"$results/$rules")" \
      'bare veth and bridge' "$(median <"$results/bare")" 'ratio >= 0.9'
  done
  path_in n1 "$bench_build/bench/bench-network-rules" time 1000 5 >"$results/time"
  row network.rules_1000_compiled ms "$(awk '$1 == "compile_ms" { print $2 }' "$results/time" | median)" '' '' ''
  row network.rules_1000_applied ms "$(awk '$1 == "total_ms" { print $2 }' "$results/time" | median)" '' '' 'ours <= 100'
  path_in n1 "$bench_build/bench/bench-network-rules" time 10000 3 >"$results/time"
  row network.rules_10000_applied ms "$(awk '$1 == "total_ms" { print $2 }' "$results/time" | median)" '' '' ''
  rm -rf "$results"
  path_down
}
