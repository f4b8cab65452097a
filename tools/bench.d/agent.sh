# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# tools/bench agent: what a node's own programs cost.  Sourced by tools/bench.
#
# Counted are the agent, the lease holder, the monitors and, where one is kept loaded, bramble-runtime.  Processor time is
# what the scheduler has accounted (schedstat) over an idle minute; writes to disk are the calls of fsync and its
# kin that strace sees in all of their threads over another one.
#
# The node runs from copies of its programs and of their libraries, so that it shares no page with the controller, as on
# a board of its own: shared pages would make its proportional set size look smaller than it is.

readonly agent_seconds=${BRAMBLE_BENCH_IDLE_S:-60} agent_containers=50

# Wrappers of the node's programs in $CLUSTER_STATE/bin, which run the copies with their own libraries.
agent_copies() {
  local program
  mkdir -p "$CLUSTER_STATE"/{bin,programs,lib}
  cp "$bench_build"/bin/{container.seccomp,bramble-container.apparmor} "$CLUSTER_STATE/bin/"
  for program in bramble-node bramble-lease-holder bramble-runtime bramble-unpack; do
    cp "$bench_build/bin/$program" "$CLUSTER_STATE/programs/"
    { ldd "$bench_build/bin/$program" 2>/dev/null || true; } | awk '$3 ~ /^\// { print $3 }' | xargs -r cp -Lu --target-directory="$CLUSTER_STATE/lib"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$CLUSTER_STATE/lib" "$CLUSTER_STATE/programs/$program" \
      >"$CLUSTER_STATE/bin/$program"
    chmod 0755 "$CLUSTER_STATE/bin/$program"
  done
}

# The processes of the node that run one of its programs: agent_pids PROGRAM...
agent_pids() {
  local pid program
  for pid in $(cgroup_pids node-1); do
    for program in "$@"; do
      [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" != "$CLUSTER_STATE/programs/$program" ] || echo "$pid"
    done
  done
}

agent_is_idle() { [ -z "$(agent_pids bramble-runtime)" ]; }

# The sum of their proportional set sizes in MiB: agent_pss PID...
agent_pss() {
  local pid
  for pid in "$@"; do
    cat "/proc/$pid/smaps_rollup"
  done | awk '/^Pss:/ { sum += $2 } END { printf "%.2f\n", sum / 1024 }'
}

# The processor time that they have used, in nanoseconds.
agent_time() {
  local pid
  for pid in "$@"; do
    cat "/proc/$pid"/task/*/schedstat
  done | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

agent_syncs() {
  local arguments=() pid
  for pid in "$@"; do
    arguments+=(-p "$pid")
  done
  timeout -s INT "$agent_seconds" strace -f -q -e trace=fsync,fdatasync,syncfs,sync,sync_file_range,msync \
    -o "$CLUSTER_STATE/syncs" "${arguments[@]}" 2>/dev/null || true
  grep -c 'sync' "$CLUSTER_STATE/syncs" || true
}

bench_agent() {
  local own before after client idle held
  # shellcheck source=tools/bench.d/cluster.sh
  . "$top/tools/bench.d/cluster.sh"
  # shellcheck source=tools/bench.d/lxd.sh
  . "$top/tools/bench.d/lxd.sh"
  bench_cluster_up 0
  bench_import_busybox
  agent_copies
  network_host node-1
  host_boot node-1
  CLUSTER_BIN=$CLUSTER_STATE/bin node_start 1 "$(cluster_cli token create --max-uses 1 -o name)"
  wait_for 60 bench_nodes_ready 1 || die "the node did not join; see $CLUSTER_STATE/log"
  # A minute after its last use the loaded bramble-runtime is let go.
  wait_for 90 agent_is_idle || die "expected the agent and the lease holder alone: $(agent_pids bramble-runtime | wc -l) runtimes"
  mapfile -t own < <(agent_pids bramble-node bramble-lease-holder)
  [ ${#own[@]} -eq 2 ] || die "expected the agent and the lease holder, found ${#own[@]} processes"
  talk "idle for $agent_seconds s"
  before=$(agent_time "${own[@]}")
  sleep "$agent_seconds"
  after=$(agent_time "${own[@]}")
  idle=$(agent_pss "${own[@]}")
  row agent.idle_pss MiB "$idle" 'goal' 8 'ours <= 8'
  row agent.idle_cpu % "$(awk -v ns=$((after - before)) -v s="$agent_seconds" 'BEGIN { printf "%.4f", ns / s / 1e7 }')" \
    'goal' 0.1 'ours <= 0.1'
  row agent.idle_syncs count "$(agent_syncs "${own[@]}")" 'goal' 0 'ours <= 0'
  talk "with $agent_containers containers"
  client=$top/tools/bench.d/deploy_client.py
  BRAMBLE_TOKEN=$(bench_token) in_host controller "$client" 172.16.0.1 8443 keep busybox "$agent_containers" 8 >&2
  sleep 10
  # Monitors are what bramble-runtime left behind; one more is loaded for the next order.
  mapfile -t own < <(agent_pids bramble-node bramble-lease-holder bramble-runtime)
  [ ${#own[@]} -ge $((agent_containers + 3)) ] || die "expected a monitor per container, found ${#own[@]} processes"
  held=$(agent_pss "${own[@]}")
  row agent.pss_with_50 MiB "$held" 'goal' 40 'ours <= 40'
  lxd_begin busybox=busybox.tar
  row agent.idle_pss MiB "$idle" 'LXD, its daemon' "$(lxd_pss busybox 0)" ''
  row agent.pss_with_50 MiB "$held" 'LXD, its daemon and monitors' "$(lxd_pss busybox "$agent_containers")" ''
  lxd_end
  bench_cluster_down
}
