#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the network software of guests does to the address, the name and the resolver that they are given: Debian with
# systemd-networkd, with ifupdown and with netplan, busybox with ifup (as Alpine has it) and with udhcpc.  Needs root.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/cluster.sh
source "$BRAMBLE_SOURCE/tests/cluster.sh"

inside() { # container command…
  local name=$1
  shift
  cluster_cli container exec "$name" -- "$@"
}

# A busybox whose first script is as given: busybox_variant NAME SCRIPT.
busybox_variant() {
  local root=$scratch/$1
  mkdir -p "$root"
  tar -x -f "$scratch/busybox.tar" -C "$root"
  mkdir -p "$root"/etc/network/{if-pre-up.d,if-up.d,if-down.d,if-post-down.d}
  ln -s ../run "$root/var/run" # where ifup keeps what it did
  printf '#!/bin/sh\nhostname -F /etc/hostname\n%s\n' "$2" >"$root/etc/init.d/rcS"
  tar -c -f "$scratch/$1.tar" -C "$root" --owner=0 --group=0 --numeric-owner --format=posix \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime .
  cluster_cli image import "$scratch/$1.tar" --name "$1"
}

bring_up() {
  network_switch
  network_host controller 172.16.0.1/24
  controller_up
  nodes_up 1
  expect_success 'who may ping is said' cluster_cli security-group rule default add in icmp
  "$BRAMBLE_SOURCE/tools/dev/image-busybox" "$scratch/busybox.tar"
  "$BRAMBLE_SOURCE/tools/dev/image-debian" "$scratch/debian.tar.zst" "$(dpkg --print-architecture)" ifupdown,netplan.io
  cluster_cli image import "$scratch/debian.tar.zst" --name guest-debian
  rm "$scratch/debian.tar.zst"
}

address_is() { [ "$(inside "$1" ip -4 -o address show dev eth0 | grep -c "inet $(container "$1" .status.address)/24 ")" -eq 1 ]; }
routed() { inside "$1" ip route show default | grep -q '^default via 172.16.0.1 '; }
reached() { in_host controller busybox ping -q -c 1 -W 2 "$(container "$1" .status.address)"; }

# What was given before init ran, and what is left of it when the guest's own software has finished.
keeps_what_it_has() { # container
  expect_success "$1: its address" wait_for 20 address_is "$1"
  expect_success "$1: its way out" wait_for 20 routed "$1"
  expect_success "$1: it is reached" wait_for 20 reached "$1"
  expect_success "$1: itself" inside "$1" sh -c 'ip -4 address show dev lo | grep -q 127.0.0.1/8'
  expect_equal "$1: its name" "$(inside "$1" hostname)" "$1"
  expect_success "$1: a resolver" inside "$1" grep -q '^nameserver 172.16.0' /etc/resolv.conf
}

# Systemd says when all that it starts at boot has been started.
booted() { inside "$1" systemctl is-system-running --wait | grep -qE 'running|degraded'; }

debian() { # container; the rest is run inside, and the container started anew
  local name=$1
  shift
  expect_success "$name runs" cluster_cli container run "$name" --image guest-debian --memory 256MiB
  wait_for 30 booted "$name" || true
  if [ $# -gt 0 ]; then
    expect_success "$name is set up" inside "$name" sh -ec "$*"
    expect_success "$name starts anew" cluster_cli container restart "$name"
    wait_for 30 booted "$name" || true
  fi
}

debian_with_networkd() {
  debian networkd
  keeps_what_it_has networkd
  expect_success 'networkd has configured it' inside networkd sh -c 'networkctl status eth0 | grep -q "Network File: /etc/systemd/network/05-bramble.network"'
}

debian_with_ifupdown() {
  debian ifupdown 'systemctl mask systemd-networkd.service systemd-networkd.socket; systemctl enable networking.service'
  keeps_what_it_has ifupdown
  expect_success 'ifupdown has configured it' inside ifupdown sh -c 'ifquery --state eth0 | grep -q eth0'
}

debian_with_netplan() {
  debian netplan 'rm /etc/systemd/network/05-bramble.network'
  keeps_what_it_has netplan
  expect_success 'netplan has configured it' inside netplan sh -c 'networkctl status eth0 | grep -q "Network File: /run/systemd/network/10-netplan-eth0.network"'
}

busybox_with_ifup() {
  busybox_variant busybox-ifup 'ifup -a && touch /tmp/up'
  expect_success 'run' cluster_cli container run ifup --image busybox-ifup
  expect_success 'ifup succeeded' wait_for 10 inside ifup test -e /tmp/up
  keeps_what_it_has ifup
}

busybox_with_udhcpc() {
  # What Alpine's udhcpc script does, in short.
  # shellcheck disable=SC2016  # the guest's shell expands it
  busybox_variant busybox-udhcpc 'ip link set lo up
cat >/tmp/script <<"EOF"
#!/bin/sh
case $1 in
  deconfig) ip address flush dev eth0; ip link set eth0 up ;;
  bound | renew)
    ip address add "$ip/$mask" dev eth0
    ip route replace default via "$router"
    printf "search %s\nnameserver %s\n" "$domain" "${dns%% *}" >/etc/resolv.conf
    hostname "$hostname"
    touch /tmp/up ;;
esac
EOF
chmod 0755 /tmp/script
udhcpc -b -i eth0 -s /tmp/script'
  expect_success 'run' cluster_cli container run udhcpc --image busybox-udhcpc
  expect_success 'udhcpc was answered' wait_for 15 inside udhcpc test -e /tmp/up
  keeps_what_it_has udhcpc
}

bring_up
busybox_with_ifup
busybox_with_udhcpc
debian_with_networkd
debian_with_ifupdown
debian_with_netplan
end_of_test
