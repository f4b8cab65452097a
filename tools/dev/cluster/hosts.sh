# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The hosts of a cluster on one machine, as far as processes go.  Sourced, after network.sh.
#
# A host is a network namespace (network.sh) with a process tree, mounts, cgroups and a host name of its own.  When its
# process 1 is killed, the kernel ends all that runs in it, containers too, and its mounts go: like a power cut.
# Everything is found again by its cgroup, $CLUSTER_PREFIX, whatever killed the script that made it.

: "${CLUSTER_PREFIX:?}" "${CLUSTER_STATE:?}"
cluster_scripts=$(dirname "${BASH_SOURCE[0]}")
readonly cluster_scripts

# The mount points of all cgroup hierarchies.
cgroup_mounts() {
  awk '{ for (i = 7; $i != "-"; ++i) { }
         if ($(i + 1) ~ /^cgroup2?$/) print $5 }' /proc/self/mountinfo | grep '^/sys/fs/cgroup'
}

# Moves this very shell into the cgroup of a host, which is made if need be.
cgroup_join() {
  local host=$1 mount group file
  for mount in $(cgroup_mounts); do
    for group in "$mount/$CLUSTER_PREFIX" "$mount/$CLUSTER_PREFIX/$host"; do
      mkdir -p "$group"
      # A new group of this controller has no processor and no memory until it is told.
      for file in cpuset.cpus cpuset.mems; do
        if [ -e "$mount/cgroup.clone_children" ] && [ -e "$group/$file" ] && [ -z "$(cat "$group/$file")" ]; then
          cat "$(dirname "$group")/$file" >"$group/$file"
        fi
      done
    done
    # With cgroup v2 only leaves hold processes.
    [ ! -d "$group/init.scope" ] || group=$group/init.scope
    echo "$BASHPID" >"$group/cgroup.procs"
  done
}

# With cgroup v2 a group whose children are to be limited holds no process itself: those of a host move to a leaf.
cgroup_delegate() {
  local group=/sys/fs/cgroup/$CLUSTER_PREFIX/$1 pid
  [ -e /sys/fs/cgroup/cgroup.controllers ] || return 0
  mkdir -p "$group/init.scope"
  while read -r pid; do
    echo "$pid" >"$group/init.scope/cgroup.procs"
  done < <(cat "$group/cgroup.procs")
  for group in /sys/fs/cgroup "/sys/fs/cgroup/$CLUSTER_PREFIX" "$group"; do
    sed -e 's/[^ ][^ ]*/+&/g' "$group/cgroup.controllers" >"$group/cgroup.subtree_control"
  done
}

# Switches a host on.  Its network namespace is there already.
host_boot() {
  local host=$1 pid_file=$CLUSTER_STATE/run/$1.pid
  mkdir -p "$CLUSTER_STATE/run" "$CLUSTER_STATE/log"
  rm -f "$pid_file"
  (
    cd /
    cgroup_join "$host"
    exec setsid nsenter --net="/run/netns/$CLUSTER_PREFIX-$host" \
      unshare --pid --fork --kill-child --mount --mount-proc --uts --ipc --cgroup \
      "$cluster_scripts/machine" "$host" </dev/null >>"$CLUSTER_STATE/log/$host-machine.log" 2>&1 9>&-
  ) &
  disown
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    if host_pid "$host" >"$pid_file.part" && [ -n "$(host_is_up "$(cat "$pid_file.part")")" ]; then
      mv "$pid_file.part" "$pid_file"
      cgroup_delegate "$host"
      return 0
    fi
    sleep 0.05
  done
  cat "$CLUSTER_STATE/log/$host-machine.log" >&2
  return 1
}

# The processes of the cluster, or of one host of it, as this machine numbers them.
cgroup_pids() {
  local group=$CLUSTER_PREFIX${1:+/$1} mount
  mount=$(cgroup_mounts | head -n 1)
  [ -d "$mount/$group" ] || return 0
  find "$mount/$group" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un
}

# The process 1 of a host, as this machine numbers it.
host_pid() {
  local pid
  for pid in $(cgroup_pids "$1"); do
    if awk '$1 == "NSpid:" { exit !(NF == 3 && $3 == 1) }' "/proc/$pid/status" 2>/dev/null; then
      printf '%s\n' "$pid"
      return 0
    fi
  done
  return 1
}

# Says something once process 1 has made its mounts and waits.
host_is_up() {
  pgrep -P "$1" -x sleep || true
}

# Runs a program inside of a host, in all of its namespaces; ends the shell: (host_run node-1 bramble-node --config …).
host_run() {
  local host=$1 pid
  shift
  pid=$(cat "$CLUSTER_STATE/run/$host.pid")
  cgroup_join "$host"
  exec nsenter --target "$pid" --net --pid --mount --uts --ipc --cgroup -- "$@"
}

# Ends all processes of one host, or of the whole cluster, and removes their cgroups.
hosts_kill() {
  local pids round
  for ((round = 0; round < 50; round++)); do
    pids=$(cgroup_pids "${1:-}" | tr '\n' ' ')
    [ -n "${pids// /}" ] || break
    # shellcheck disable=SC2086  # a list of pids
    kill -s KILL $pids 2>/dev/null || true
    sleep 0.1
  done
  local mount
  for mount in $(cgroup_mounts); do
    [ ! -d "$mount/$CLUSTER_PREFIX${1:+/$1}" ] ||
      find "$mount/$CLUSTER_PREFIX${1:+/$1}" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
}
