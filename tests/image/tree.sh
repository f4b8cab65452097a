# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A small root tree and boot directory, with what trees have: links, holes, modes, long and odd names.

make_tree() { # directory
  local i
  mkdir -p "$1"/{bin,etc/dir,usr/share/many,dev,proc,sys}
  for i in $(seq 300); do
    head -c $((i * 97)) /dev/urandom >"$1/usr/share/many/file-$i"
  done
  head -c 20000000 /dev/urandom >"$1/usr/share/random"
  truncate -s 50M "$1/usr/share/hole"
  ln -s ../etc/dir "$1/bin/link"
  ln "$1/usr/share/many/file-1" "$1/usr/share/hardlink"
  printf 'pi\n' >"$1/etc/hostname"
  chmod 4755 "$1/usr/share/many/file-2"
}

make_boot() { # directory
  mkdir -p "$1/overlays"
  printf 'arm_64bit=1\nkernel=vmlinuz\n' >"$1/config.txt"
  printf 'root=/dev/mmcblk0p3\n' >"$1/cmdline.txt"
  head -c 9000000 /dev/urandom >"$1/vmlinuz"
  head -c 30000 /dev/urandom >"$1/bcm2837-rpi-3-b-plus.dtb"
  printf 'x' >"$1/overlays/a rather long name with spaces.dtbo"
}
