#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Disks that are really full: the controller's state and nodes', each on a small tmpfs in a mount namespace of the
# test's own.  What is refused says why, what is there goes on, nothing that was acknowledged is lost, and all works
# again without a restart when there is room.  What finds no room on one node is moved to another.  Needs root.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
if [ "${BRAMBLE_FULL_DISK_INSIDE:-}" != yes ]; then
  [ "$(id -u)" -eq 0 ] || { echo 'needs root'; exit 77; }
  BRAMBLE_FULL_DISK_INSIDE=yes exec unshare --mount --propagation private "$0"
fi
# shellcheck source=tests/cluster.sh
source "$BRAMBLE_SOURCE/tests/cluster.sh"

also_take_down() {
  umount -l "$CLUSTER_STATE"/controller/state "$CLUSTER_STATE"/node-[12]/state 2>/dev/null || true
}

small_disk() { # directory MiB
  mkdir -p "$1"
  mount -t tmpfs -o "mode=0711,size=$2m" tmpfs "$1"
}
# To the last page.
fill() { dd if=/dev/zero bs=64k status=none 2>/dev/null >>"$1/filler" || true; } # directory
make_room() { rm -f "$1/filler"; } # directory

ready_code() { in_host controller curl -sk --max-time 10 -o "$scratch/ready" -w '%{http_code}' https://172.16.0.1:8443/readyz; }
is_ready() { [ "$(ready_code)" = 200 ]; }
is_not_ready() { [ "$(ready_code)" = 503 ]; }
refused_and_said_so() {
  ! cluster_cli flavor create one-more --cpu 0.1 --memory 64MiB && grep -q store-failed <(cluster_cli cluster status -o json)
}
has_flavor() { cluster_cli flavor list -o name | grep -x "$1"; }
has_condition() { cluster_cli node show node-1 -o json | jq -e --arg type "$1" '.conditions[] | select(.type == $type)'; }
has_no_condition() { ! has_condition "$1"; }

bring_up() {
  small_disk "$CLUSTER_STATE/controller/state" 32
  small_disk "$CLUSTER_STATE/node-1/state" 256
  small_disk "$CLUSTER_STATE/node-2/state" 64
  network_switch
  network_host controller 172.16.0.1/24
  controller_up
  nodes_up 3
  busybox_image
  expect_success 'cordon' cluster_cli node cordon node-2
  expect_success 'cordon' cluster_cli node cordon node-3
  cluster_cli container run web --image busybox --group web
}

the_controllers_disk_is_full() {
  local state=$CLUSTER_STATE/controller/state pid number made=() refused=
  pid=$(pid_of controller bramble-controller)
  expect_success 'ready before' is_ready
  fill "$state"
  expect_success 'not ready when the disk is full' wait_for 10 is_not_ready
  expect_equal 'it is a problem' "$(jq -r .code "$scratch/ready")" not_ready
  expect_success 'that names the cause' grep -q 'disk is full' "$scratch/ready"
  # A little room: some writes are taken, and then one is refused that says why.
  truncate -s -131072 "$state/filler"
  for ((number = 1; number <= 400; number++)); do
    if cluster_cli flavor create "f$number" --cpu 0.1 --memory 64MiB >"$scratch/out" 2>&1; then
      made+=("f$number")
    else
      refused=$(cat "$scratch/out")
      break
    fi
  done
  expect_success 'some writes were taken' test "${#made[@]}" -gt 0
  expect_success 'a write is refused' test -n "$refused"
  expect_success "and says why: $refused" grep -Eqi 'full|room|space' <<<"$refused"
  expect_success 'reads go on' cluster_cli container show web
  # The store tries by itself whether there is room again, and a small write may find what a large one did not.
  fill "$state"
  expect_success 'the status names the cause' wait_for 10 refused_and_said_so
  expect_success 'the container is served' page_of web
  expect_failure 'an image is refused' 'full|space|room' cluster_cli image import "$scratch/busybox.tar" --name other
  make_room "$state"
  expect_success 'ready again by itself' wait_for 20 is_ready
  expect_success 'a write is taken' wait_for 10 cluster_cli flavor create later --cpu 0.1 --memory 64MiB
  expect_equal 'the same process' "$(pid_of controller bramble-controller)" "$pid"
  kill -KILL "$pid"
  controller_start
  for number in "${made[@]}" later; do
    expect_success "acknowledged $number is there" has_flavor "$number"
  done
  expect_success 'the node is back' wait_for 30 is node_state node-1 ready
}

a_nodes_disk_is_full() {
  local state=$CLUSTER_STATE/node-1/state pid
  pid=$(pid_of node-1 bramble-node)
  fill "$state"
  expect_success 'it says so' wait_for 40 has_condition disk-full
  expect_success 'what runs is served' page_of web
  expect_equal 'and can be entered' "$(cluster_cli container exec web -- hostname)" web
  cluster_cli container create next --image busybox --node node-1 --no-wait
  cluster_cli container start next --no-wait >/dev/null 2>&1 || true
  expect_failure 'a new one does not run' '' wait_for 5 is state_of next running
  expect_success 'and says why' test -n "$(container next .status.reason)"
  make_room "$state"
  expect_success 'the condition goes' wait_for 40 has_no_condition disk-full
  expect_success 'and so does the journal'"'"'s' wait_for 20 has_no_condition journal-failed
  expect_success 'the new one runs' wait_for 60 is state_of next running
  expect_success 'the first one was not disturbed' page_of web
  expect_equal 'the same agent' "$(pid_of node-1 bramble-node)" "$pid"
}

what_finds_no_room_there_stays_or_goes_elsewhere() {
  local sum
  expect_success 'delete what may only run there' cluster_cli container delete next
  cluster_cli container exec web -- sh -c 'mkdir -p /srv && dd if=/dev/urandom of=/srv/big bs=1M count=100 2>/dev/null; sync'
  sum=$(cluster_cli container exec web -- sha256sum /srv/big)
  expect_success 'node-2 is there' cluster_cli node restore node-2
  expect_failure 'the only other node is full' 'stays: web \(.*No space left on device' cluster_cli node drain node-1
  expect_success 'it runs where it was' wait_for 20 is_on web node-1
  expect_equal 'with its files' "$(cluster_cli container exec web -- sha256sum /srv/big)" "$sum"
  expect_success 'and nothing is left there' wait_for 20 no_containers_on 2
  # The scheduler takes the emptier node first.
  expect_success 'node-3 is there' cluster_cli node restore node-3
  expect_success 'and has a container' cluster_cli container run ballast --image busybox --node node-3
  expect_success 'with another node' cluster_cli node drain node-1
  expect_success 'it is there' wait_for 20 is_on web node-3
  expect_success 'after the full one was tried' has_event container.move_redirected
  expect_equal 'with its files' "$(cluster_cli container exec web -- sha256sum /srv/big)" "$sum"
  expect_success 'its page' wait_for 20 page_of web
  expect_success 'nothing is left where it was' wait_for 20 no_containers_on 1
  expect_success 'nor where there was no room' wait_for 20 no_containers_on 2
}
has_event() { cluster_cli event list -o json | jq -e --arg type "$1" '.items[] | select(.type == $type)'; }

bring_up
the_controllers_disk_is_full
a_nodes_disk_is_full
what_finds_no_room_there_stays_or_goes_elsewhere
end_of_test
