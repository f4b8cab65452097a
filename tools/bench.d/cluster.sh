# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A cluster of its own for the benches that need one, as tools/demo makes it.  Sourced.

bench_cluster_prepare() {
  [ "$(id -u)" -eq 0 ] || die "needs root: network namespaces and containers"
  CLUSTER_PREFIX=brbench
  CLUSTER_STATE=${BRAMBLE_BENCH_STATE:-/var/tmp/bramble-bench}
  CLUSTER_BIN=$bench_build/bin
  # shellcheck source=tools/dev/cluster/network.sh
  . "$top/tools/dev/cluster/network.sh"
  # shellcheck source=tools/dev/cluster/hosts.sh
  . "$top/tools/dev/cluster/hosts.sh"
  # shellcheck source=tools/dev/cluster/programs.sh
  . "$top/tools/dev/cluster/programs.sh"
  bench_cluster_down
  if [ -e "$CLUSTER_STATE" ] && [ ! -e "$CLUSTER_STATE/.bramble-bench" ]; then
    die "$CLUSTER_STATE exists and is no bench's: move it away, or set BRAMBLE_BENCH_STATE"
  fi
  bench_quick_cgroups
  mkdir -p "$CLUSTER_STATE"
  chmod 0711 "$CLUSTER_STATE"
  : >"$CLUSTER_STATE/.bramble-bench"
  report_at_end=bench_cluster_down
}

# As bramble-node.service does on a machine of its own; the hosts of the bench have cgroup namespaces, in which the
# kernel does not take it.  It is for all that is measured here, floors and peers too, and stays until the next boot.
bench_quick_cgroups() {
  mount -o remount,favordynmods "$(findmnt -n -o TARGET -t cgroup2 | head -n 1)" 2>/dev/null ||
    talk 'this kernel has no favordynmods: every start waits for its cgroups'
}

bench_cluster_down() {
  hosts_kill ""
  network_remove
  if [ -e "$CLUSTER_STATE/.bramble-bench" ]; then
    find "$CLUSTER_STATE" -xdev -mindepth 1 -delete
    rmdir "$CLUSTER_STATE"
  fi
}

# Brings up a controller and this many nodes.
bench_cluster_up() {
  local nodes=$1 number token
  bench_cluster_prepare
  network_switch
  network_host controller 172.16.0.1/24
  host_boot controller
  controller_start || die "the controller did not start: $(tail -n 5 "$CLUSTER_STATE"/log/controller-*.log)"
  cluster_cli cluster init --controller https://172.16.0.1:8443 --state "$CLUSTER_STATE/controller/state" >&2
  [ "$nodes" -gt 0 ] || return 0
  token=$(cluster_cli token create --max-uses "$nodes" -o name)
  for ((number = 1; number <= nodes; number++)); do
    network_host "node-$number"
    host_boot "node-$number"
    node_start "$number" "$token"
  done
  wait_for 60 bench_nodes_ready "$nodes" || die "not all nodes joined; see $CLUSTER_STATE/log"
}

bench_nodes_ready() {
  [ "$(cluster_cli node list -o json | jq '[.items[] | select(.state == "ready")] | length')" -eq "$1" ]
}

bench_import_busybox() {
  "$top/tools/dev/image-busybox" "$CLUSTER_STATE/busybox.tar" >&2
  cluster_cli image import "$CLUSTER_STATE/busybox.tar" --name busybox >&2
}

bench_import_debian() {
  "$top/tools/dev/image-debian" "$CLUSTER_STATE/debian.tar.zst" >&2
  cluster_cli image import "$CLUSTER_STATE/debian.tar.zst" --name debian --tag 12 >&2
}

# The administrator's bearer token, as the CLI stored it.
bench_token() {
  jq -r '.controllers[.current].token' "$CLUSTER_STATE/cli/credentials.json"
}
