# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The disk that guests start from: Debian 12 with its own kernel and systemd, and all that our packages depend on, but
# not them.  Sourced by tests/guest/guest.
#
# It is made without root's mounts or loop devices, and cached outside the checkout under the digest of what it is made
# of: root.ext4, vmlinuz and initrd.img.  The cache only saves time.

readonly root_cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bramble/guest
readonly root_size_mib=2048
# What the initial RAM disk loads: the disk's driver and the quota's format; the rest is udev's work.
readonly root_modules=(virtio_pci virtio_blk quota_v2)

# The first alternative of each dependency of the packages under test that is not one of them.
root_dependencies() { # deb…
  local deb
  for deb in "$@"; do
    dpkg-deb -f "$deb" Depends | tr ',' '\n'
  done | sed -e 's/|.*//' -e 's/(.*)//' -e 's/ //g' -e '/^bramble/d' -e '/^$/d' | sort -u
}

root_packages() { # deb…
  { sed -e 's/#.*//' -e '/^$/d' "$here/root.list"; root_dependencies "$@"; } | sort -u
}

root_key() { # deb…
  { root_packages "$@"; cat "$here/root.sh" "$here"/root/*; sha256sum /bin/busybox; } | sha256sum | cut -c 1-16
}

# A RAM disk that mounts the root and nothing more; Debian's own takes longer to unpack than all of ours to run.
root_initrd() { # tree file
  local tree=$1 build kernel module
  build=$(mktemp -d)
  kernel=$(basename "$tree"/lib/modules/*)
  mkdir -p "$build"/{bin,dev,proc,modules,root}
  cp /bin/busybox "$build/bin/busybox"
  install -m 0755 "$here/root/initrd-init" "$build/init"
  for module in "${root_modules[@]}"; do
    chroot "$tree" /sbin/modprobe --set-version "$kernel" --show-depends "$module"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$build/modules/order"
  while read -r module; do
    cp "$tree$module" "$build/modules/"
  done <"$build/modules/order"
  (cd "$build" && find . | cpio --quiet --create --format=newc --owner=+0:+0) | gzip -1 >"$2"
  rm -rf "$build"
}

# Makes the disk and what boots it of the finished tree.
root_image() { # tree output
  local tree=$1 output=$2 unit
  install -m 0644 "$here/root/guest-cases.service" "$tree/etc/systemd/system/"
  install -m 0755 "$here/root/guest-cases" "$tree/usr/local/sbin/"
  mkdir -p "$tree/etc/systemd/system/multi-user.target.wants" "$tree/etc/systemd/system/serial-getty@ttyS0.service.d"
  ln -s ../guest-cases.service "$tree/etc/systemd/system/multi-user.target.wants/"
  # Whoever has the serial console has the machine, and it has no network to the outside.
  install -m 0644 "$here/root/autologin.conf" "$tree/etc/systemd/system/serial-getty@ttyS0.service.d/"
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer getty@tty1.service systemd-pstore.service; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
  done
  echo guest >"$tree/etc/hostname"
  echo '127.0.0.1 localhost guest' >"$tree/etc/hosts"
  echo '0123456789abcdef0123456789abcdef' >"$tree/etc/machine-id"
  : >"$tree/etc/fstab"
  rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/*
  root_initrd "$tree" "$output/initrd.img"
  cp "$tree"/boot/vmlinuz-* "$output/vmlinuz"
  truncate -s "${root_size_mib}M" "$output/root.ext4"
  # With project quota, as sdcard images have it; without what mke2fs leaves for the first mount to do.
  mke2fs -q -F -t ext4 -m 0 -O project,quota -E quotatype=prjquota,lazy_itable_init=0,lazy_journal_init=0 \
    -d "$tree" "$output/root.ext4"
}

# Makes the root unless it is there, and says where.
root_ensure() { # deb…
  local key path mirror scratch options=()
  key=$(root_key "$@")
  path=$root_cache/root-$key
  mkdir -p "$root_cache"
  exec 8>"$root_cache/lock"
  flock 8
  if [ ! -d "$path" ]; then
    say "making the guest's root below $root_cache: this takes one or two minutes"
    mirror=$(debian_mirror) || die "no mirror"
    scratch=$(mktemp -d "$root_cache/new.XXXXXX")
    debian_apt_options >"$scratch/apt.conf"
    # The hook would make Debian's initial RAM disk, which nothing reads.
    for excluded in /etc/kernel/postinst.d/initramfs-tools '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*'; do
      options+=("--dpkgopt=path-exclude=$excluded")
    done
    mmdebstrap --quiet --variant=minbase --aptopt="$scratch/apt.conf" "${options[@]}" \
      --include="$(root_packages "$@" | paste -sd,)" \
      "$debian_suite" "$scratch/tree" "$mirror" >&2 ||
      { rm -rf "$scratch"; die "mmdebstrap could not make the guest's root; see above"; }
    root_image "$scratch/tree" "$scratch"
    rm -rf "$scratch/tree"
    find "$root_cache" -maxdepth 1 -type d -name 'root-????????????????' -exec rm -rf {} +
    mv "$scratch" "$path"
  fi
  exec 8>&-
  printf '%s\n' "$path"
}
