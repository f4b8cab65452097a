# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# tools/bench deploy: from the POST to RUNNING as the client sees it.  Sourced by tools/bench.

readonly deploy_turns=${BRAMBLE_BENCH_TURNS:-3} deploy_rounds=7 deploy_many=50 deploy_clients=16
readonly deploy_floor_id=1879048192

deploy_client() {
  BRAMBLE_TOKEN=$deploy_token in_host controller "$top/tools/bench.d/deploy_client.py" 172.16.0.1 8443 "$@"
}

# The tree of an image, owned by the ids of one unprivileged container: deploy_floor_tree ARCHIVE DIRECTORY.
deploy_floor_tree() {
  mkdir -p "$2"
  tar --extract --numeric-owner --file "$1" --directory "$2"
  python3 - "$2" "$deploy_floor_id" <<'END'
import os, sys
first = int(sys.argv[2])
def shift(path):
    status = os.lstat(path)
    os.lchown(path, status.st_uid + first, status.st_gid + first)
shift(sys.argv[1])
for directory, names, files in os.walk(sys.argv[1]):
    for name in names + files:
        shift(os.path.join(directory, name))
END
  chmod 0711 "$CLUSTER_STATE/floor"
}

# Without newuidmap, which liblxc would ask and which knows nothing of these ids: it is in /usr/bin.
deploy_floor() {
  mkdir -p "$CLUSTER_STATE/floor/lxc"
  (host_run node-1 env PATH=/usr/sbin:/sbin "$bench_build/bench/bench-lxc-start" "$CLUSTER_STATE/floor/$1" \
    "$CLUSTER_STATE/floor/lxc" br0 "$deploy_floor_id" "$deploy_rounds")
}

# Each node fetches and unpacks the image before anything is measured.
deploy_warm() {
  local node
  for node in node-1 node-2 node-3; do
    cluster_cli container run "warm-$node" --image "$1" --flavor nano --node "$node" >&2
    cluster_cli container delete "warm-$node" >&2
  done
}

# deploy_one NAME IMAGE TREE
deploy_one() {
  local turn
  for ((turn = 0; turn < deploy_turns; turn++)); do
    deploy_floor "$3" >>"$CLUSTER_STATE/$1.floor"
    deploy_client one "$2" "$deploy_rounds" >>"$CLUSTER_STATE/$1.ours"
  done
  deploy_ours=$(awk '{ print $2 }' "$CLUSTER_STATE/$1.ours" | median)
  row "deploy.$1" ms "$deploy_ours" "liblxc start() on the same tree" \
    "$(awk '{ print $2 }' "$CLUSTER_STATE/$1.floor" | median)" 'ratio <= 3'
}

bench_deploy() {
  local rate turn
  # shellcheck source=tools/bench.d/cluster.sh
  . "$top/tools/bench.d/cluster.sh"
  # shellcheck source=tools/bench.d/lxd.sh
  . "$top/tools/bench.d/lxd.sh"
  bench_cluster_up 3
  deploy_token=$(bench_token)
  bench_import_busybox
  bench_import_debian
  deploy_warm busybox
  deploy_warm debian:12
  deploy_floor_tree "$CLUSTER_STATE/busybox.tar" "$CLUSTER_STATE/floor/busybox"
  deploy_floor_tree "$CLUSTER_STATE/debian.tar.zst" "$CLUSTER_STATE/floor/debian"
  lxd_begin busybox=busybox.tar debian=debian.tar.zst
  deploy_one busybox busybox busybox
  row deploy.busybox ms "$deploy_ours" 'lxc launch, LXD, btrfs' "$(lxd_one busybox)" 'ratio <= 0.25'
  deploy_one debian debian:12 debian
  row deploy.debian ms "$deploy_ours" 'lxc launch, LXD, btrfs' "$(lxd_one debian)" 'ratio <= 0.25'
  for ((turn = 0; turn < deploy_turns; turn++)); do
    deploy_client many busybox "$deploy_many" "$deploy_clients" >>"$CLUSTER_STATE/many"
  done
  rate=$(awk '{ print $2 }' "$CLUSTER_STATE/many" | median)
  row deploy.50_over_3_nodes 1/s "$rate" 'lxc launch, LXD, btrfs, 8 at once' "$(lxd_many busybox)" 'ours >= 50'
  lxd_end
  bench_cluster_down
}
