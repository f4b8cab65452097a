# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The programs of a cluster on one machine: the binaries and the configuration that production uses.  Sourced, after
# network.sh and hosts.sh.
#
# CLUSTER_BIN    directory of the binaries        CLUSTER_STATE  directory of all state, logs and sockets

: "${CLUSTER_BIN:?}" "${CLUSTER_STATE:?}"

# Starts a daemon of a host that outlives this script: start_daemon controller bramble-controller --config ….
# Its log is $CLUSTER_STATE/log/HOST-PROGRAM.log.  Descriptor 9, the caller's lock, is not passed on.
start_daemon() {
  local host=$1 program=$2
  shift 2
  mkdir -p "$CLUSTER_STATE/log"
  (
    cd /
    exec </dev/null >>"$CLUSTER_STATE/log/$host-$program.log" 2>&1 9>&-
    host_run "$host" setsid "$CLUSTER_BIN/$program" "$@"
  ) &
  disown
}

# Waits until a command succeeds, at most the given seconds: wait_for 20 test -e FILE.
wait_for() {
  local seconds=$1 tries
  shift
  for ((tries = seconds * 10; tries > 0; tries--)); do
    if "$@" >/dev/null 2>&1; then
      return 0
    fi
    sleep 0.1
  done
  return 1
}

# The CLI, logged in to this cluster: cluster_cli node list.
cluster_cli() {
  in_host controller env BRAMBLE_CONFIG="$CLUSTER_STATE/cli" "$CLUSTER_BIN/bramble" "$@"
}

controller_start() {
  local directory=$CLUSTER_STATE/controller
  mkdir -p "$directory/run"
  if [ ! -e "$directory/controller.toml" ]; then
    cat >"$directory/controller.toml" <<END
name = "demo"
state_dir = "$directory/state"
run_dir = "$directory/run"

[nodes]
addresses = ["172.16.0.1:8444"]

[network]
interface = "eth0"
END
  fi
  start_daemon controller bramble-controller --config "$directory/controller.toml"
  wait_for 20 controller_answers
}

controller_answers() {
  in_host controller curl -skf --max-time 2 https://172.16.0.1:8443/readyz
}

# node_start NUMBER JOIN-TOKEN: node-1 is 172.16.0.11, unless NODE_CHOOSES=1 leaves it to the node.
node_start() {
  local number=$1 token=$2 directory=$CLUSTER_STATE/node-$1
  mkdir -p "$directory/run"
  # Nodes of one machine share its user ids, so each takes a part of its own.
  [ -e "$directory/node.toml" ] || cat >"$directory/node.toml" <<END
name = "node-$number"
join_token = "$token"
state_dir = "$directory/state"
run_dir = "$directory/run"
libexec_dir = "$CLUSTER_BIN"
id_first = $((536870912 + number * 256 * 65536))
id_ranges = 255

[network]
bridge = "br0"
port = "eth0"
${NODE_CHOOSES:+# }address = "172.16.0.$((10 + number))/24"
END
  start_daemon "node-$number" bramble-lease-holder --socket "$directory/run/lease.sock"
  start_daemon "node-$number" bramble-node --config "$directory/node.toml"
}
