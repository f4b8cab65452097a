# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# tools/bench images: what an image costs to unpack, a second time, and to bring to ten nodes.  Sourced by tools/bench.
#
# Every host's link, the controller's too, is limited to 100 Mbit/s either way.  "One copy" is the same order for one node
# alone, of an image of the same size: from the order to the node saying that it has it, unpacked.

readonly images_turns=${BRAMBLE_BENCH_TURNS:-3} images_nodes=10 images_mib=${BRAMBLE_BENCH_IMAGE_MIB:-48}
readonly images_rate=100mbit

images_limit_links() {
  local host
  for host in $(network_hosts); do
    [ "$host" != switch ] || continue
    in_host "$host" tc qdisc add dev eth0 root tbf rate "$images_rate" burst 128kb latency 50ms
    in_host switch tc qdisc add dev "p-$host" root tbf rate "$images_rate" burst 128kb latency 50ms
  done
}

# An image that nothing compresses and nobody has yet: images_new NAME.
images_new() {
  local directory=$CLUSTER_STATE/new
  mkdir -p "$directory/srv"
  dd if=/dev/urandom of="$directory/srv/big" bs=1M count="$images_mib" status=none
  cp "$CLUSTER_STATE/busybox.tar" "$CLUSTER_STATE/new.tar"
  tar --append --file "$CLUSTER_STATE/new.tar" --directory "$directory" --owner=0 --group=0 srv
  cluster_cli image import "$CLUSTER_STATE/new.tar" --name "$1" >&2
  rm -r "$directory" "$CLUSTER_STATE/new.tar"
}

# How many nodes have it, by its digest.
images_holders() {
  in_host controller curl -sk --max-time 10 -H "Authorization: Bearer $images_token" https://172.16.0.1:8443/v1/nodes |
    jq --arg digest "$1" '[.items[] | select(.images | index($digest))] | length'
}

# Seconds from the order until so many nodes have the image, one container each: images_to NODES NAME.
images_to() {
  local nodes=$1 image=$2 digest number begin tries
  digest=$(cluster_cli image show "$image" -o json | jq -r '.variants[0].digest')
  begin=$(date +%s%N)
  for ((number = 1; number <= nodes; number++)); do
    in_host controller curl -sk --max-time 10 -o /dev/null -H "Authorization: Bearer $images_token" \
      -H 'Content-Type: application/json' https://172.16.0.1:8443/v1/containers -d "{\"name\": \"$image-$number\",
        \"image\": \"$image\", \"limits\": {\"memory_bytes\": 16777216}, \"placement\": {\"node\": \"node-$number\"}}"
  done
  for ((tries = 0; tries < 3000; tries++)); do
    if [ "$(images_holders "$digest")" -ge "$nodes" ]; then
      awk -v from="$begin" -v to="$(date +%s%N)" 'BEGIN { printf "%.2f\n", (to - from) / 1e9 }'
      return
    fi
    sleep 0.1
  done
  die "not all of $nodes nodes had the image within five minutes; see $CLUSTER_STATE/log"
}

images_forget() { # name nodes
  local number
  for ((number = 1; number <= $2; number++)); do
    cluster_cli container delete "$1-$number" >&2
  done
  cluster_cli image delete "$1" >&2
}

images_to_ten() {
  local turn from_controller=0 number before
  images_limit_links
  images_token=$(bench_token)
  for ((turn = 0; turn < images_turns; turn++)); do
    images_new "one$turn"
    images_to 1 "one$turn" >>"$CLUSTER_STATE/one"
    images_forget "one$turn" 1
    before=$(images_from_controller)
    images_new "ten$turn"
    images_to "$images_nodes" "ten$turn" >>"$CLUSTER_STATE/ten"
    from_controller=$(($(images_from_controller) - before))
    images_forget "ten$turn" "$images_nodes"
  done
  row images.to_ten_nodes s "$(median <"$CLUSTER_STATE/ten")" 'one copy over the same links' \
    "$(median <"$CLUSTER_STATE/one")" 'ratio <= 2'
  row images.from_controller_for_ten MiB "$((from_controller / 1048576))" 'the image' "$images_mib" 'ratio <= 1.2'
}

# Bytes that all nodes together have had of the controller.
images_from_controller() {
  local number total=0
  for ((number = 1; number <= images_nodes; number++)); do
    total=$((total + $(in_host "node-$number" "$CLUSTER_BIN/bramble-node" status \
      --config "$CLUSTER_STATE/node-$number/node.toml" -o json | jq .image_bytes.from_controller)))
  done
  printf '%s\n' "$total"
}

# What the second container of an image adds to its node's disk, in KB; $1 is the row, $2 the image, $3 the goal.
images_second_container() {
  local before after state=$CLUSTER_STATE/node-1/state
  cluster_cli container run first --image "$2" --node node-1 --memory 64MiB >&2
  sync -f "$state"
  before=$(du -s --block-size=1 "$state" | cut -f 1)
  cluster_cli container run second --image "$2" --node node-1 --memory 64MiB >&2
  sync -f "$state"
  after=$(du -s --block-size=1 "$state" | cut -f 1)
  row "$1" KB "$(((after - before) / 1000))" '' '' "$3"
  cluster_cli container delete first >&2
  cluster_cli container delete second >&2
}

# From the archive on the node to the tree that containers start from, its SHA-256 compared, against `tar -x`.
images_unpack() {
  local turn archive=$CLUSTER_STATE/debian.tar.zst digest into=$CLUSTER_STATE/unpack results=$CLUSTER_STATE
  digest=$(sha256sum <"$archive" | cut -d ' ' -f 1)
  mkdir -p "$into"
  chmod 0711 "$into"
  for ((turn = 0; turn < images_turns; turn++)); do
    sync -f "$into"
    images_timed "$results/tar" tar --extract --numeric-owner --xattrs --xattrs-include='*' --file "$archive" --directory "$(mktemp -d -p "$into")"
    images_timed "$results/tar_synced" sync -f "$into"
    paste -d + "$results/tar" "$results/tar_synced" | tail -n 1 | bc >>"$results/tar_and_sync"
    find "$into" -mindepth 1 -delete
    sync -f "$into"
    images_timed "$results/ours" "$bench_build/bin/bramble-unpack" --digest "$digest" --archive "$archive" --into "$into/tree" \
      --first-id 1879048192
    du -s --block-size=1M "$into/tree" | cut -f 1 >"$results/unpacked_mib"
    find "$into" -mindepth 1 -delete
  done
  row "images.unpack_debian_$(cat "$results/unpacked_mib")_mib" s "$(median <"$results/ours")" 'tar -x' "$(median <"$results/tar")" 'ratio <= 1.3'
  row images.unpack_debian_to_the_disk s "$(median <"$results/ours")" 'tar -x and sync' "$(median <"$results/tar_and_sync")" ''
}

images_timed() { # file command…
  local file=$1 begin
  shift
  begin=$(date +%s%N)
  "$@" >/dev/null
  awk -v from="$begin" -v to="$(date +%s%N)" 'BEGIN { printf "%.3f\n", (to - from) / 1e9 }' >>"$file"
}

bench_images() {
  # shellcheck source=tools/bench.d/cluster.sh
  . "$top/tools/bench.d/cluster.sh"
  bench_cluster_up "$images_nodes"
  bench_import_debian
  "$top/tools/dev/image-busybox" "$CLUSTER_STATE/busybox.tar" >&2
  images_unpack
  images_new large
  images_second_container images.second_container large 'ours <= 1000'
  # With what a whole system writes when it starts: the files of its journal.
  images_second_container images.second_container_debian_systemd debian:12 ''
  images_to_ten
  bench_cluster_down
}
