#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Images from node to node: three nodes that start containers of one image take one copy of it from the controller and the
# others from each other; a neighbour that gives other bytes, and one that is killed in the middle, cost nobody anything but
# time.  Bytes are counted by the nodes.  Needs root.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# Nodes keep archives for neighbours on disks that are not full, and this machine's may be: each has one of its own.
if [ "${BRAMBLE_IMAGES_INSIDE:-}" != yes ]; then
  [ "$(id -u)" -eq 0 ] || { echo 'needs root'; exit 77; }
  BRAMBLE_IMAGES_INSIDE=yes exec unshare --mount --propagation private "$0"
fi
# shellcheck source=tests/cluster.sh
source "$BRAMBLE_SOURCE/tests/cluster.sh"

also_take_down() {
  umount -l "$CLUSTER_STATE"/node-[123]/state 2>/dev/null || true
}

disk_of() { # node
  mkdir -p "$CLUSTER_STATE/node-$1/state"
  mount -t tmpfs -o mode=0711,size=400m tmpfs "$CLUSTER_STATE/node-$1/state"
}

# An image called $1 with a file of $2 MiB that nothing compresses; its size goes to $scratch/$1.size.
import_image() {
  mkdir -p "$scratch/$1/srv"
  dd if=/dev/urandom of="$scratch/$1/srv/big" bs=1M count="$2" status=none
  cp "$scratch/busybox.tar" "$scratch/$1.tar"
  tar --append --file "$scratch/$1.tar" --directory "$scratch/$1" --owner=0 --group=0 srv
  rm -rf "${scratch:?}/$1"
  cluster_cli image import "$scratch/$1.tar" --name "$1"
  stat -c %s "$scratch/$1.tar" >"$scratch/$1.size"
}
size_of() { cat "$scratch/$1.size"; }
digest_of() { cluster_cli image show "$1" -o json | jq -r '.variants[0].digest'; }
archive_on() { printf '%s/node-%s/state/images/%s/archive\n' "$CLUSTER_STATE" "$1" "$(digest_of "$2")"; } # node image
bytes() { # node, from_controller | from_neighbours | to_neighbours
  in_host "node-$1" "$CLUSTER_BIN/bramble-node" status --config "$CLUSTER_STATE/node-$1/node.toml" -o json |
    jq ".image_bytes.$2"
}
sum() { # which
  local number total=0
  for number in 1 2 3; do
    total=$((total + $(bytes "$number" "$1")))
  done
  printf '%s\n' "$total"
}
run_on() { cluster_cli container run "$1" --image "$2" --node "node-$3" --no-wait >/dev/null; } # container image node
more_than() { [ "$("${@:2}")" -gt "$1" ]; }                                                     # number question…
has_image() { cluster_cli node list --images | grep -E "^node-$1 .*$2:latest"; }                # node image

one_copy_for_three() {
  local number size
  import_image first 24
  size=$(size_of first)
  for number in 1 2 3; do
    run_on "first-$number" first "$number"
  done
  for number in 1 2 3; do
    expect_success "it runs on node-$number" wait_for 120 is_on "first-$number" "node-$number"
  done
  expect_equal 'the controller gave one copy' "$(sum from_controller)" "$size"
  expect_equal 'the nodes gave each other the others' "$(sum from_neighbours)" "$((2 * size))"
  expect_equal 'as those count who gave them' "$(sum to_neighbours)" "$((2 * size))"
  for number in 1 2 3; do
    expect_success "node-$number is listed with it" wait_for 20 has_image "$number" first
    expect_equal "what runs on node-$number is the image" \
      "$(cluster_cli container exec "first-$number" -- sha256sum /srv/big | cut -d' ' -f1)" \
      "$(tar --extract --to-stdout --file "$scratch/first.tar" srv/big | sha256sum | cut -d' ' -f1)"
  done
}

a_neighbour_that_lies() {
  local before neighbours
  import_image second 8
  run_on second-1 second 1
  expect_success 'it runs on node-1' wait_for 120 is_on second-1 node-1
  expect_success 'which the controller knows' wait_for 20 has_image 1 second
  # A worn card: one byte of the archive is another, deep inside.
  printf '\377' | dd of="$(archive_on 1 second)" bs=1 seek=5000000 conv=notrunc status=none
  before=$(bytes 2 from_controller)
  neighbours=$(bytes 2 from_neighbours)
  run_on second-2 second 2
  expect_success 'it runs on node-2 all the same' wait_for 120 is_on second-2 node-2
  expect_success 'what was right came from the neighbour' test "$(bytes 2 from_neighbours)" -gt "$neighbours"
  expect_equal 'the rest from the controller' \
    "$(($(bytes 2 from_controller) - before + $(bytes 2 from_neighbours) - neighbours))" "$(size_of second)"
  expect_success 'the controller was told' \
    grep -Eq 'neighbour_failed.*fault=wrong-bytes' "$CLUSTER_STATE/log/controller-bramble-controller.log"
  expect_equal 'its file is what it must be' "$(sha256sum <"$(archive_on 2 second)" | cut -d' ' -f1)" "$(digest_of second)"
}

a_neighbour_that_is_killed() {
  local before neighbours
  import_image third 24
  run_on third-1 third 1
  expect_success 'it runs on node-1' wait_for 120 is_on third-1 node-1
  expect_success 'which the controller knows' wait_for 20 has_image 1 third
  # So slow that there is a middle.
  in_host node-1 tc qdisc add dev eth0 root tbf rate 20mbit burst 64kb latency 100ms
  before=$(bytes 3 from_controller)
  neighbours=$(bytes 3 from_neighbours)
  run_on third-3 third 3
  expect_success 'it comes from the neighbour' wait_for 60 more_than "$neighbours" bytes 3 from_neighbours
  kill_program node-1 bramble-node
  in_host node-1 tc qdisc del dev eth0 root
  expect_success 'it runs on node-3 all the same' wait_for 180 is_on third-3 node-3
  expect_equal 'nothing came twice' \
    "$(($(bytes 3 from_controller) - before + $(bytes 3 from_neighbours) - neighbours))" "$(size_of third)"
  expect_success 'the controller gave the rest' more_than "$before" bytes 3 from_controller
  start_daemon node-1 bramble-node --config "$CLUSTER_STATE/node-1/node.toml"
  expect_success 'the neighbour is back' wait_for 60 is node_state node-1 ready
}

a_stranger_is_not_served() {
  # On the network, but no node: the port answers nobody without the certificate of one.
  expect_equal 'the port refuses' "$(in_host controller curl -sk --max-time 10 -o /dev/null -w '%{http_code}' \
    "https://172.16.0.12:8445/v1/blobs/$(digest_of first)")" 401
}

for number in 1 2 3; do
  disk_of "$number"
done
network_switch
network_host controller 172.16.0.1/24
controller_up
nodes_up 3
"$BRAMBLE_SOURCE/tools/dev/image-busybox" "$scratch/busybox.tar"
one_copy_for_three
a_stranger_is_not_served
a_neighbour_that_lies
a_neighbour_that_is_killed
end_of_test
