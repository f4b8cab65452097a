#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A controller and two nodes in network namespaces, real containers, and what happens when things are killed, cut off,
# rolled back and drained.  Needs root.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/cluster.sh
source "$BRAMBLE_SOURCE/tests/cluster.sh"

node_programs_start() { # number
  start_daemon "node-$1" bramble-lease-holder --socket "$CLUSTER_STATE/node-$1/run/lease.sock"
  start_daemon "node-$1" bramble-node --config "$CLUSTER_STATE/node-$1/node.toml"
}

bring_up() {
  mkdir -p "$CLUSTER_STATE/controller"
  cat >"$CLUSTER_STATE/controller/controller.toml" <<END
name = "test"
state_dir = "$CLUSTER_STATE/controller/state"
run_dir = "$CLUSTER_STATE/controller/run"
[nodes]
addresses = ["172.16.0.1:8444"]
[network]
interface = "eth0"
[timing]
preset = "fast"
END
  network_switch
  network_host controller 172.16.0.1/24
  controller_up
  nodes_up 2
  busybox_image
}

a_container_runs_and_is_reached() {
  expect_success 'run' cluster_cli container run web --image busybox --group web --node node-1
  expect_equal 'state' "$(state_of web)" running
  expect_success 'page over the cluster network' wait_for 10 page_of web
  expect_equal 'host name inside' "$(cluster_cli container exec web -- hostname)" web
  expect_equal 'root inside is nobody outside' "$(cluster_cli container exec web -- cat /proc/self/uid_map | awk '{print ($2 > 65535)}')" 1
  expect_failure 'exit code passes through' '' cluster_cli container exec web -- sh -c 'exit 7'
}

files_go_in_and_out() {
  local token=$scratch/cluster/cli/credentials.json
  mkdir -p "$scratch/site/sub" "$scratch/back"
  echo page >"$scratch/site/page"
  printf '#!/bin/sh\necho ran\n' >"$scratch/site/sub/run"
  chmod 0750 "$scratch/site/sub" "$scratch/site/sub/run"
  ln -s ../page "$scratch/site/sub/link"
  expect_success 'push a directory' cluster_cli container push web -r "$scratch/site" /srv/www
  expect_equal 'it is there' "$(cluster_cli container exec web -- cat /srv/www/site/sub/link)" page
  expect_equal 'with its modes' "$(cluster_cli container exec web -- /srv/www/site/sub/run)" ran
  expect_equal 'and its owner is root inside' "$(cluster_cli container exec web -- stat -c '%u:%g %a' /srv/www/site/sub)" '0:0 750'
  expect_success 'only what is in it' cluster_cli container push web -r --uid 33 "$scratch/site/." /srv/flat
  expect_equal 'for another owner' "$(cluster_cli container exec web -- stat -c %u /srv/flat/page)" 33
  cluster_cli container exec web -- sh -c 'mkdir /srv/trap && ln -s /etc /srv/trap/site'
  expect_failure 'a link in the way is not followed' 'symbolic link' cluster_cli container push web -r "$scratch/site" /srv/trap
  expect_failure 'a directory needs -r' ' -r ' cluster_cli container push web "$scratch/site" /srv/
  expect_success 'pull it' cluster_cli container pull web -r /srv/www/site "$scratch/back"
  expect_success 'all of it' diff -r --no-dereference "$scratch/site" "$scratch/back/site"
  # As a person with curl sends what comes from a pipe: its length is not known before its end.
  token=$(jq -r '.. | .token? // empty' "$token" | head -n 1)
  head -c 300000 /dev/zero | in_host controller curl -sSk --fail --max-time 30 -H "Authorization: Bearer $token" -T - \
    'https://172.16.0.1:8443/v1/containers/web/files?path=/srv/chunks' >/dev/null || fail 'a body in chunks'
  expect_equal 'it arrives whole' "$(cluster_cli container exec web -- stat -c %s /srv/chunks)" 300000
  expect_success 'freeze' cluster_cli container freeze web
  expect_failure 'a frozen one runs no command' 'is frozen' cluster_cli container exec web -- true
  expect_success 'thaw' cluster_cli container start web
  expect_success 'identify' cluster_cli node identify node-1
  expect_success 'is in the log of the node' grep -q identify "$CLUSTER_STATE/log/node-1-bramble-node.log"
}

the_agent_may_die() {
  local before after
  before=$(init_of web)
  kill_program node-1 bramble-node
  expect_success 'the page is served with no agent' page_of web
  start_daemon node-1 bramble-node --config "$CLUSTER_STATE/node-1/node.toml"
  expect_success 'the node is back' wait_for 30 is node_state node-1 ready
  after=$(init_of web)
  expect_equal 'the same init' "$after" "$before"
  expect_success 'still running' wait_for 10 is state_of web running
  expect_equal 'exec works again' "$(cluster_cli container exec web -- hostname)" web
}

# It is killed while requests are in flight: after the first answers, before the last.
the_controller_may_die_at_any_moment() {
  local round number name pid controller clients began lost=0
  for round in 1 2 3; do
    clients=()
    began=$SECONDS
    controller=$(pid_of controller bramble-controller)
    for number in {1..24}; do
      name=c$round-$number
      (cluster_cli container create "$name" --image busybox --no-wait >/dev/null 2>&1 && : >"$scratch/made.$name") &
      clients+=($!)
    done
    until something_was_made "$round" || [ $((SECONDS - began)) -ge 10 ]; do :; done
    kill -KILL "$controller"
    for pid in "${clients[@]}"; do
      wait "$pid" || lost=$((lost + 1))
    done
    controller_start
    for name in "$scratch/made.c$round"-*; do
      expect_success "acknowledged ${name##*.} is there" cluster_cli container show "${name##*.}"
    done
  done
  printf 'controller killed 3 times: %d of 72 requests unanswered\n' "$lost"
  expect_success 'it was killed while requests were in flight' test "$lost" -gt 0
  for name in $(cluster_cli container list -o json | jq -r '.items[].name | select(test("^c[123]-"))'); do
    expect_success "delete $name" cluster_cli container delete "$name"
  done
}
something_was_made() { compgen -G "$scratch/made.c$1-*" >/dev/null; }

a_node_starts_what_is_pinned_by_itself() {
  kill_program controller bramble-controller
  hosts_kill node-1  # as a power cut: all of the node at once, containers too
  expect_failure 'nothing serves' '' page_at controller "$web_address"
  host_boot node-1
  node_programs_start 1
  expect_success 'it serves again with no controller' wait_for 30 page_at controller "$web_address"
  controller_start
  expect_success 'the node is back' wait_for 30 is node_state node-1 ready
}

a_rolled_back_controller_destroys_nothing() {
  local before_epoch
  before_epoch=$(cluster_cli cluster status -o json | jq .epoch)
  kill_program controller bramble-controller
  cp -a "$CLUSTER_STATE/controller/state" "$scratch/snapshot"
  controller_start
  expect_success 'run after the snapshot' cluster_cli container run later --image busybox --group web --node node-1
  kill_program controller bramble-controller
  rm -rf "$CLUSTER_STATE/controller/state"
  cp -a "$scratch/snapshot" "$CLUSTER_STATE/controller/state"
  controller_start
  expect_success 'the node is back' wait_for 30 is node_state node-1 ready
  expect_success 'the epoch rose' wait_for 10 epoch_above "$before_epoch"
  expect_success 'what it did not know is adopted' wait_for 10 cluster_cli container show later
  expect_success 'and runs' page_of later
  expect_success 'as what it knew' page_at controller "$web_address"
}
epoch_above() { [ "$(cluster_cli cluster status -o json | jq .epoch)" -gt "$1" ]; }

# Its node is cut off, and its agent left alone, killed or stopped: both nodes are watched all the time until the
# container runs elsewhere, which the preset "fast" has within 45 s.
a_movable_container_is_never_twice() { # signal to the agent
  local signal=$1 from to id old new='' copies most=0 agent began took
  expect_success "$signal: run" cluster_cli container run mover --image busybox --group web --class movable
  from=$(container mover .status.node)
  to=node-1
  [ "$from" != node-1 ] || to=node-2
  id=$(container mover .id)
  old=$(inits_of "$id")
  expect_equal "$signal: it runs once" "$(wc -w <<<"$old")" 1
  agent=$(pid_of "$from" bramble-node)
  began=${EPOCHREALTIME/./}
  in_host switch ip link set "p-$from" down
  [ "$signal" = none ] || kill -s "$signal" "$agent"
  while [ -z "$new" ] && [ $((${EPOCHREALTIME/./} - began)) -le 60000000 ]; do
    copies=$(inits_of "$id")
    [ "$(wc -w <<<"$copies")" -le "$most" ] || most=$(wc -w <<<"$copies")
    new=$(tr ' ' '\n' <<<"$copies" | grep -vx "$old" || true)
  done
  took=$(((${EPOCHREALTIME/./} - began) / 1000000))
  printf 'agent %s: the container runs elsewhere after %d s\n' "$signal" "$took"
  expect_equal "$signal: never two copies" "$most" 1
  expect_success "$signal: the old one is gone" gone "$old"
  expect_success "$signal: it runs elsewhere within 45 s" test "$took" -le 45
  expect_success "$signal: the controller says so" wait_for 10 is_on mover "$to"
  case $signal in
    KILL) start_daemon "$from" bramble-node --config "$CLUSTER_STATE/$from/node.toml" ;;
    STOP) kill -s CONT "$agent" ;;
  esac
  in_host switch ip link set "p-$from" up
  expect_success "$signal: the node comes back" wait_for 90 is node_state "$from" ready
  expect_equal "$signal: it stays where it is" "$(container mover .status.node)" "$to"
  expect_equal "$signal: and runs once" "$(inits_of "$id" | wc -w)" 1
  expect_success "$signal: delete" cluster_cli container delete mover
}

drain_moves_what_is_movable() {
  local from to
  expect_success 'run' cluster_cli container run mover --image busybox --group web --class movable
  from=$(container mover .status.node)
  to=node-1
  [ "$from" != node-1 ] || to=node-2
  expect_success 'drain' cluster_cli node drain "$from" --leave-pinned
  expect_success 'it runs elsewhere' wait_for 30 is_on mover "$to"
  expect_equal 'the pinned one stays' "$(container web .status.node)" node-1
  expect_success 'restore' cluster_cli node restore "$from"
  expect_success 'delete' cluster_cli container delete mover
}

# Pinned containers move with their files, whatever is killed meanwhile.
drain_moves_what_is_pinned() {
  local init address
  expect_success 'delete what may only run there' cluster_cli container delete web
  expect_success 'delete what may only run there' cluster_cli container delete later
  expect_success 'cordon' cluster_cli node cordon node-2
  expect_success 'run' cluster_cli container run data --image busybox --group web
  expect_success 'uncordon' cluster_cli node restore node-2
  address=$(container data .status.address)
  cluster_cli container exec data -- sh -c 'mkdir -p /srv/a && echo kept >/srv/a/file && ln /srv/a/file /srv/hard &&
    chown 1000:33 /srv/a/file && chmod 4750 /srv/a/file && mkfifo /srv/pipe && rm /bin/rmdir && sync'
  init=$(init_of data)
  expect_success 'drain' cluster_cli node drain node-1
  expect_success 'it runs on the other node' wait_for 5 is_on data node-2
  expect_success 'its old init is gone' gone "$init"
  expect_equal 'its file' "$(cluster_cli container exec data -- cat /srv/hard)" kept
  expect_equal 'its owner, mode and links' "$(cluster_cli container exec data -- stat -c '%u:%g %a %h' /srv/a/file)" '1000:33 4750 2'
  expect_failure 'what it had deleted' '' cluster_cli container exec data -- ls /bin/rmdir
  expect_equal 'its address' "$(container data .status.address)" "$address"
  expect_success 'its page' wait_for 10 page_of data
  expect_success 'nothing is left behind' wait_for 10 no_containers_on 1
  cluster_cli container exec data -- sh -c 'echo more >>/srv/hard && sync'
  expect_success 'restore' cluster_cli node restore node-1
  expect_success 'it is back' wait_for 5 is_on data node-1
  expect_equal 'with what it wrote there' "$(cluster_cli container exec data -- cat /srv/a/file | tr '\n' ' ')" 'kept more '
  expect_success 'and nothing is left there' wait_for 10 no_containers_on 2
}
# Agents and controller are killed in the middle of a move, one after the other, and all at once on the way back.
kills_in_the_middle_of_a_move() {
  local victim id sum watcher operation
  id=$(container data .id)
  cluster_cli container exec data -- sh -c 'dd if=/dev/urandom of=/srv/big bs=1M count=200 2>/dev/null; sync'
  sum=$(cluster_cli container exec data -- sha256sum /srv/big)
  : >"$scratch/watch"
  watch_copies "$id" &
  watcher=$!
  operation=$(cluster_cli node drain node-1 --no-wait -o json | jq -r .id)
  for victim in node-1 node-2 controller; do
    expect_success "a copy is under way ($victim)" wait_for 30 is_copying node-1
    kill_program_of "$victim" && program_of_starts "$victim"
  done
  expect_success 'it arrives all the same' wait_for 60 is_on data node-2
  expect_equal 'whole' "$(cluster_cli container exec data -- sha256sum /srv/big)" "$sum"
  expect_success 'nothing is left behind' wait_for 20 no_containers_on 1
  expect_success 'and the operation says where it is' wait_for 10 says_where "$operation" data node-2

  cluster_cli node restore node-1 --no-wait >/dev/null
  expect_success 'a copy is under way back' wait_for 30 is_copying node-2
  for victim in controller node-1 node-2; do kill_program_of "$victim"; done
  for victim in controller node-1 node-2; do program_of_starts "$victim"; done
  expect_success 'it comes back all the same' wait_for 60 is_on data node-1
  expect_equal 'whole again' "$(cluster_cli container exec data -- sha256sum /srv/big)" "$sum"
  expect_success 'nothing is left there' wait_for 20 no_containers_on 2
  rm "$scratch/watch"
  wait "$watcher"
  expect_equal 'never two copies' "$(sort -n "$scratch/copies" | tail -n 1)" 1
  expect_equal 'and looked at often' "$(($(wc -l <"$scratch/copies") > 20))" 1
  expect_success 'delete' cluster_cli container delete data
}
kill_program_of() { # host
  case $1 in
  controller) kill_program controller bramble-controller ;;
  *) kill_program "$1" bramble-node ;;
  esac
}
program_of_starts() { # host
  case $1 in
  controller) controller_start ;;
  *) start_daemon "$1" bramble-node --config "$CLUSTER_STATE/$1/node.toml" ;;
  esac
}
is_copying() { # from this host
  local pid
  for pid in $(cgroup_pids "$1"); do
    if grep -qs pack-layer "/proc/$pid/cmdline"; then
      return 0
    fi
  done
  return 1
}
# How many of it live, again and again.
watch_copies() { # id
  while [ -e "$scratch/watch" ]; do
    inits_of "$1" | wc -l
    sleep 0.05
  done >"$scratch/copies"
}
says_where() { # operation container node
  [ "$(cluster_cli operation show "$1" -o json | jq -r ".state + \" \" + .result.moved[\"$2\"]")" = "succeeded $3" ]
}

nothing_is_left() {
  expect_equal 'no container' "$(cluster_cli container list -o json | jq '.items | length')" 0
  expect_equal 'no mount on the host' "$(grep -c "$CLUSTER_STATE" /proc/self/mounts || true)" 0
  expect_equal 'no container directory' "$(find "$CLUSTER_STATE"/node-*/state/containers -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" 0
}

bring_up
a_container_runs_and_is_reached
files_go_in_and_out
web_address=$(container web .status.address)
the_agent_may_die
the_controller_may_die_at_any_moment
a_node_starts_what_is_pinned_by_itself
a_rolled_back_controller_destroys_nothing
for signal in none KILL STOP; do
  a_movable_container_is_never_twice "$signal"
done
drain_moves_what_is_movable
drain_moves_what_is_pinned
kills_in_the_middle_of_a_move
nothing_is_left
end_of_test
