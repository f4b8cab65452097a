#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The hosts that the demo, the benches and the system tests run on: each sees only itself, and goes whole when it is
# switched off, whatever ran in it and whatever killed the script that made it.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
[ "$(id -u)" -eq 0 ] || skip_test 'needs root'

CLUSTER_PREFIX=brhosts
CLUSTER_STATE=$scratch/state
# shellcheck source=tools/dev/cluster/network.sh
source "$BRAMBLE_SOURCE/tools/dev/cluster/network.sh"
# shellcheck source=tools/dev/cluster/hosts.sh
source "$BRAMBLE_SOURCE/tools/dev/cluster/hosts.sh"

all_down() { hosts_kill ""; network_remove; }
trap 'all_down; rm -rf "$scratch"' EXIT
all_down

in_node() { (host_run node-1 "$@"); }

network_switch
network_host node-1 172.16.0.11/24
network_host node-2 172.16.0.12/24
host_boot node-1
host_boot node-2

expect_equal 'its name' "$(in_node hostname)" node-1
expect_success 'its process 1' in_node grep -q machine /proc/1/cmdline
# shellcheck disable=SC2016  # what is quoted runs in the host's shell
expect_success 'only its own processes' in_node bash -c '[ "$(ls -d /proc/[0-9]* | wc -l)" -lt 8 ]'
expect_success 'the root of every cgroup is its own' in_node bash -c '! cut -d: -f3 /proc/1/cgroup | grep -v "^/\(init.scope\)\?$"'
# shellcheck disable=SC2016  # what is quoted runs in the host's shell
expect_success 'it can make cgroups' in_node bash -c 'for d in $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs -printf "%h\n"); do mkdir "$d/mine"; done'
expect_success 'they are below its own, seen from outside' bash -c "find /sys/fs/cgroup -path '*/$CLUSTER_PREFIX/node-1/mine' | grep -q ."
expect_success 'it reaches its neighbour' in_host node-1 busybox ping -q -c 1 -W 2 172.16.0.12
expect_success 'its mounts are its own' bash -c "! grep -q '$CLUSTER_STATE' /proc/self/mounts"

# What is orphaned inside is reaped inside, and what runs in namespaces of its own goes too.
in_node bash -c 'setsid bash -c "sleep 0.1 & exit" & unshare --net --ipc sleep 1000 </dev/null >/dev/null 2>&1 & disown' &
wait $!
# The orphan ends by itself, and is a zombie for a moment.
expect_success 'no orphan and no zombie is left' in_node bash -c 'for try in {1..50}; do
  pgrep -x -f "sleep 0.1" >/dev/null || grep -qs ") Z " /proc/[0-9]*/stat || exit 0
  sleep 0.2
done; exit 1'
expect_success 'a process in other namespaces is found' bash -c "[ -n '$(cgroup_pids node-1)' ]"
hosts_kill node-1
expect_equal 'nothing of node-1 runs' "$(cgroup_pids node-1)" ''
expect_success 'node-2 still runs' test -n "$(host_pid node-2)"

# Switched on again it is a new machine.
host_boot node-1
expect_success 'it boots again' in_node true
expect_success 'its cgroups are empty' in_node bash -c '! find /sys/fs/cgroup -name mine | grep -q .'

# A script that is killed leaves hosts behind; they are found by name.
bash -c "set -euo pipefail; CLUSTER_PREFIX=$CLUSTER_PREFIX CLUSTER_STATE=$CLUSTER_STATE
  source $BRAMBLE_SOURCE/tools/dev/cluster/network.sh
  source $BRAMBLE_SOURCE/tools/dev/cluster/hosts.sh
  network_host node-3; host_boot node-3; kill -KILL \$\$" || true
expect_success 'node-3 outlived its script' test -n "$(host_pid node-3)"
all_down
expect_equal 'no process is left' "$(cgroup_pids '')" ''
expect_equal 'no network is left' "$(network_hosts)" ''
expect_equal 'no cgroup is left' "$(find /sys/fs/cgroup -name "$CLUSTER_PREFIX")" ''
end_of_test
