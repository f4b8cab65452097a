# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# LXD as a peer, when it is installed: a daemon of its own in a host of the cluster, on a btrfs pool.  Sourced by
# deploy.sh and agent.sh.  Each function prints nothing where there is no LXD.

lxd_installed() { [ -z "${BRAMBLE_BENCH_NO_LXD:-}" ] && command -v lxd >/dev/null && command -v lxc >/dev/null && grep -qw btrfs /proc/filesystems; }

lxd_run() {
  (host_run lxd env "LXD_DIR=$CLUSTER_STATE/lxd" "$@")
}

# With images of the bench's archives: lxd_begin NAME=ARCHIVE...
lxd_begin() {
  local image
  lxd_installed || { talk 'LXD is not installed (or the kernel has no btrfs): its rows are empty'; return 0; }
  talk 'starting LXD'
  mkdir -p "$CLUSTER_STATE/lxd"
  network_host lxd
  host_boot lxd
  lxd_run lxd --group root </dev/null >"$CLUSTER_STATE/log/lxd.log" 2>&1 9>&- &
  disown
  lxd_run lxd waitready --timeout 60 || die "LXD did not start; see $CLUSTER_STATE/log/lxd.log"
  lxd_run lxd init --preseed <<'END'
storage_pools: [{name: default, driver: btrfs, config: {size: 12GiB}}]
networks: [{name: lxdbr0, type: bridge, config: {ipv4.address: 10.77.0.1/24, ipv4.nat: "false", ipv6.address: none}}]
profiles:
- name: default
  devices:
    root: {path: /, pool: default, type: disk}
    eth0: {name: eth0, network: lxdbr0, type: nic}
END
  for image in "$@"; do
    lxd_image "${image%%=*}" "$CLUSTER_STATE/${image#*=}"
  done
}

lxd_image() {
  local directory=$CLUSTER_STATE/lxd-images
  mkdir -p "$directory"
  printf 'architecture: %s\ncreation_date: 1700000000\nproperties: {description: %s}\n' "$(uname -m)" "$1" \
    >"$directory/metadata.yaml"
  tar --create --file "$directory/$1-metadata.tar" --directory "$directory" metadata.yaml
  case $2 in
    *.zst) zstd -qdf "$2" -o "$directory/$1.tar" ;;
    *) cp "$2" "$directory/$1.tar" ;;
  esac
  # One launch first, so that the image is unpacked into the pool.
  lxd_run lxc image import "$directory/$1-metadata.tar" "$directory/$1.tar" --alias "$1" >&2
  lxd_run lxc launch "$1" "warm-$1" >&2 </dev/null
  lxd_run lxc delete --force "warm-$1" >&2
}

# The median of a few launches, in milliseconds.
lxd_one() {
  local round
  lxd_installed || return 0
  for ((round = 0; round < 7; round++)); do
    lxd_run bash -c 'start=$(date +%s%N); lxc launch -q "$1" one </dev/null >&2; end=$(date +%s%N)
      lxc delete -q --force one >&2; echo $(((end - start) / 1000))' - "$1"
  done | awk '{ print $1 / 1000 }' | median
}

# Launches a second, 8 at a time.
lxd_many() {
  lxd_installed || return 0
  lxd_run bash -c 'start=$(date +%s%N); seq 50 | xargs -P 8 -I{} lxc launch -q "$1" many-{} >&2
    end=$(date +%s%N); seq 50 | xargs -P 8 -I{} lxc delete -q --force many-{} >&2
    echo $(((end - start) / 1000000))' - "$1" | awk '{ printf "%.2f\n", 50000 / $1 }'
}

# The proportional set sizes of its daemon and of the monitors of this many containers, in MiB: lxd_pss NAME COUNT.
lxd_pss() {
  local pid
  lxd_installed || return 0
  if [ "$2" -gt 0 ]; then
    lxd_run bash -c 'seq "$2" | xargs -P 8 -I{} lxc launch -q "$1" held-{} >&2' - "$1" "$2"
    sleep 10
  fi
  for pid in $(cgroup_pids lxd); do
    case $(readlink "/proc/$pid/exe" 2>/dev/null) in
      */lxd) cat "/proc/$pid/smaps_rollup" ;;
    esac
  done | awk '/^Pss:/ { sum += $2 } END { printf "%.2f\n", sum / 1024 }'
}

lxd_end() {
  lxd_installed || return 0
  hosts_kill lxd
}
