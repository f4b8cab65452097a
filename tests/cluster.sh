# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a test of a whole cluster begins with, in place of tests/script.sh: `source "$BRAMBLE_SOURCE/tests/cluster.sh"`.
# It has hosts of its own (tools/dev/cluster), which end with it, and questions that many such tests ask.  Needs root.
#
# What else is to be taken down goes into a function `also_take_down`.

# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
[ "$(id -u)" -eq 0 ] || skip_test 'needs root'

# Another run of the same test does not meet this one.
CLUSTER_PREFIX=$(printf 'brtest%x' "$$")
readonly CLUSTER_STATE=$scratch/cluster
readonly CLUSTER_BIN=$BRAMBLE_BIN
# shellcheck source=tools/dev/cluster/network.sh
source "$BRAMBLE_SOURCE/tools/dev/cluster/network.sh"
# shellcheck source=tools/dev/cluster/hosts.sh
source "$BRAMBLE_SOURCE/tools/dev/cluster/hosts.sh"
# shellcheck source=tools/dev/cluster/programs.sh
source "$BRAMBLE_SOURCE/tools/dev/cluster/programs.sh"

all_hosts_down() {
  hosts_kill ""
  network_remove
}

# Takes down what tests left that were killed: their prefix has the number of a process that is no more.
killed_tests_down() {
  local prefix pid
  for prefix in $({
    ip netns list
    find "$(cgroup_mounts | head -n 1)" -mindepth 1 -maxdepth 1 -printf '%f\n'
  } | sed -nE 's/^(brtest[0-9a-f]+)(-.*)?$/\1/p' | sort -u); do
    pid=$((16#${prefix#brtest}))
    if [ "$pid" -eq "$$" ] || [ ! -e "/proc/$pid" ]; then
      CLUSTER_PREFIX=$prefix all_hosts_down
    fi
  done
}
killed_tests_down

also_take_down() { :; }
take_down() {
  if [ "$checks_failed" -gt 0 ]; then
    tail -n 40 "$CLUSTER_STATE"/log/*.log || true
  fi
  all_hosts_down
  also_take_down
  rm -rf "$scratch"
}
trap take_down EXIT

container() { cluster_cli container show "$1" -o json | jq -r "$2"; } # name jq-filter
address_of() { container "$1" .status.address; }
state_of() { container "$1" .status.state; }
is_on() { [ "$(container "$1" .status.node)" = "$2" ] && [ "$(state_of "$1")" = running ]; } # container node
# Whether a node's disk holds nothing of any container, running or not: no_containers_on 1.
no_containers_on() { [ "$(find "$CLUSTER_STATE/node-$1/state/containers" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" = 0 ]; }
node_state() { cluster_cli node show "$1" -o json | jq -r .state; }
is() { [ "$("$1" "$2")" = "$3" ]; }                                        # question object answer
page_at() { in_host "$1" curl -sf --max-time 3 "http://$2/"; }             # host address
page_of() { page_at controller "$(address_of "$1")"; }                     # container
# Also when its parent, stopped with it in a test, has not taken note.
gone() { ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; } # pid

# A controller that is initialised, at 172.16.0.1.  Its configuration, if not the default, is there already.
controller_up() {
  host_boot controller
  controller_start
  cluster_cli cluster init --controller https://172.16.0.1:8443 --state "$CLUSTER_STATE/controller/state"
}

# Nodes 1 to N are switched on, join and are ready: nodes_up 3.
nodes_up() {
  local token number
  token=$(cluster_cli token create --max-uses "$1" -o name)
  for ((number = 1; number <= $1; number++)); do
    network_host "node-$number"
    host_boot "node-$number"
    node_start "$number" "$token"
  done
  for ((number = 1; number <= $1; number++)); do
    expect_success "node-$number is ready" wait_for 60 is node_state "node-$number" ready
  done
}

busybox_image() {
  "$BRAMBLE_SOURCE/tools/dev/image-busybox" "$scratch/busybox.tar"
  cluster_cli image import "$scratch/busybox.tar" --name busybox
}

# The inits of a container that live, as this machine numbers them: process 1 two PID namespaces down, in a cgroup with its
# id.  More than one line is one too many.
inits_of() { # id [host]
  local mount
  mount=$(cgroup_mounts | head -n 1)
  # Groups and processes go while they are looked at.
  { find "$mount/$CLUSTER_PREFIX${2:+/$2}" -path "*$1*" -name cgroup.procs -exec cat {} + 2>/dev/null || true; } | sort -un |
    while read -r pid; do
      awk '$1 == "State:" { dead = $2 == "Z" || $2 == "X" }
        $1 == "NSpid:" && !dead && NF == 4 && $4 == 1 { print $2 }' "/proc/$pid/status" 2>/dev/null || true
    done
}
init_of() { inits_of "$(container "$1" .id)" | head -n 1; } # container

# The process of a program on a host, as this machine numbers it.
pid_of() { # host program
  local pid
  for pid in $(cgroup_pids "$1"); do
    if [ "$(basename "$(readlink "/proc/$pid/exe")")" = "$2" ]; then
      printf '%s\n' "$pid"
      return
    fi
  done
  return 1
}
kill_program() { # host program
  local pid
  pid=$(pid_of "$1" "$2")
  kill -KILL "$pid"
  wait_for 5 gone "$pid"
}
