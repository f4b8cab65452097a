# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A Debian of a few MiB for arm64, in a mirror of its own: real packages, which real apt, dpkg and mmdebstrap install within
# seconds.  Its programs are this machine's, so that nothing is emulated.  Three suites: bookworm; trixie, whose kernel has no
# drivers for a Pi 5; and trixie-backports, whose kernel has.

mirror_package() { # suite name version [control line…]; the files are in $package
  local suite=$1 name=$2 version=$3
  shift 3
  mkdir -p "$package/DEBIAN" "$mirror/pool/$suite"
  {
    printf 'Package: %s\nVersion: %s\nArchitecture: arm64\nMaintainer: nobody <nobody@example.org>\n' "$name" "$version"
    [ $# -eq 0 ] || printf '%s\n' "$@"
    printf 'Description: for a test\n'
  } >"$package/DEBIAN/control"
  dpkg-deb --root-owner-group -Znone -b "$package" "$mirror/pool/$suite/${name}_${version}_arm64.deb" >/dev/null
  rm -rf "$package"
}

mirror_unit() { # file
  mkdir -p "$package/usr/lib/systemd/system"
  printf '[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n[Timer]\nOnBootSec=1d\n[Install]\nWantedBy=multi-user.target\n' \
    >"$package/usr/lib/systemd/system/$1"
}

mirror_kernel() { # suite version modules… -- device trees…
  local suite=$1 version=$2 modules name
  shift 2
  modules=$package/usr/lib/modules/$version-arm64
  mkdir -p "$package/boot" "$modules/kernel" "$package/usr/lib/linux-image-$version-arm64/broadcom"
  head -c 3000000 /dev/urandom >"$package/boot/vmlinuz-$version-arm64"
  : >"$modules/modules.builtin"
  while [ "$1" != -- ]; do
    printf 'module' >"$modules/kernel/$1.ko"
    printf 'kernel/%s.ko:\n' "$1" >>"$modules/modules.dep"
    shift
  done
  shift
  for name; do
    printf 'tree' >"$package/usr/lib/linux-image-$version-arm64/broadcom/$name.dtb"
  done
  mirror_package "$suite" linux-image-arm64 "$version"
}

mirror_index() { # suite directories of the pool…
  local suite=$1 deb index component
  shift
  index=$mirror/dists/$suite
  mkdir -p "$index/main/binary-arm64" "$index/non-free-firmware/binary-arm64"
  : >"$index/non-free-firmware/binary-arm64/Packages"
  (cd "$mirror" && for deb in $(printf 'pool/%s/*.deb ' "$@"); do
    dpkg-deb -f "$deb"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d ' ' -f 1)"
  done) >"$index/main/binary-arm64/Packages"
  {
    printf 'Origin: Debian\nSuite: %s\nCodename: %s\nArchitectures: arm64\nComponents: main non-free-firmware\n' "$suite" "$suite"
    [[ $suite != *-backports ]] || printf 'NotAutomatic: yes\nButAutomaticUpgrades: yes\n'
    printf 'SHA256:\n'
    for component in main non-free-firmware; do
      (cd "$index" && printf ' %s %s %s\n' "$(sha256sum <"$component/binary-arm64/Packages" | cut -d ' ' -f 1)" \
        "$(stat -c %s "$component/binary-arm64/Packages")" "$component/binary-arm64/Packages")
    done
  } >"$index/Release"
}

# What the system cannot do without: a shell, dpkg with its libraries, users.
mirror_essentials() {
  local applet program library
  mkdir -p "$package"/usr/{bin,sbin,lib64} "$package/usr/lib/x86_64-linux-gnu"
  cp /usr/bin/busybox "$package/usr/bin/busybox"
  for applet in sh rm tar diff find cat sed grep mv cp ln mkdir chmod start-stop-daemon true; do
    ln -s /usr/bin/busybox "$package/usr/bin/$applet"
  done
  mirror_package bookworm busybox-static 1:1.35 'Essential: yes'
  mkdir -p "$package"/usr/{bin,sbin,lib64} "$package/usr/lib/x86_64-linux-gnu"
  for program in dpkg dpkg-deb dpkg-query dpkg-split; do
    cp "/usr/bin/$program" "$package/usr/bin/"
  done
  ldd /usr/bin/dpkg /usr/bin/dpkg-deb /usr/bin/dpkg-split | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | sort -u | while read -r library; do
    cp -L "$library" "$package/usr/lib/x86_64-linux-gnu/"
  done
  cp -L /lib64/ld-linux-x86-64.so.2 "$package/usr/lib64/"
  ln -s usr/lib64 "$package/lib64"
  cp /sbin/ldconfig "$package/usr/sbin/ldconfig"
  mirror_package bookworm dpkg 1.21 'Essential: yes'
  mkdir -p "$package/etc"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >"$package/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$package/etc/group"
  printf 'root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n' >"$package/etc/shadow"
  chmod 0640 "$package/etc/shadow"
  mirror_package bookworm base-passwd 3 'Essential: yes'
}

# Makes it in the directory, and a package bramble-node beside it.
make_mirror() { # directory
  local name
  mirror=$1
  package=$mirror/package
  mkdir -p "$mirror"
  mirror_essentials
  mkdir -p "$package/usr/lib/raspi-firmware"
  for name in bootcode.bin start.elf fixup.dat start4.elf fixup4.dat; do
    printf '%s' "$name" >"$package/usr/lib/raspi-firmware/$name"
  done
  mirror_package bookworm raspi-firmware 1
  for name in systemd-networkd systemd-resolved systemd-timesyncd; do mirror_unit $name.service; done
  mirror_unit fstrim.timer
  mirror_package bookworm systemd-sysv 252
  mirror_unit apparmor.service
  mirror_package bookworm apparmor 3
  mirror_unit ssh.service
  mirror_package bookworm openssh-server 9
  mkdir -p "$package/usr/share/many"
  (cd "$package/usr/share/many" && for name in $(seq 330); do echo x >"a-file-with-a-rather-long-name-$name"; done)
  mirror_package bookworm many 1
  mkdir -p "$package/usr/share/extra"
  printf 'here\n' >"$package/usr/share/extra/file"
  mirror_package bookworm extra 2.0
  # Whatever else the boards and our layer ask for.
  for name in $(awk '/^packages/ { inside = 1 } inside { print } /\]/ { inside = 0 }' \
    "$BRAMBLE_SOURCE"/sdcard-image/{layers/node/layer,boards/pi-arm64}.toml | grep -o '"[a-z0-9.+-]*"' | tr -d '"' | sort -u); do
    [ -e "$(printf '%s' "$mirror/pool/bookworm/$name"_*.deb)" ] || mirror_package bookworm "$name" 1
  done
  mirror_kernel bookworm 6.1.0-1 sdhci_iproc bcm2835 genet smsc95xx lan78xx dwc2 xhci_pci ext4 -- \
    bcm2837-rpi-3-b bcm2837-rpi-3-b-plus bcm2837-rpi-zero-2-w bcm2711-rpi-4-b
  mirror_kernel trixie-kernel 6.12.0-1 ext4 -- bcm2712-rpi-5-b bcm2712-d-rpi-5-b
  mirror_kernel backports 7.3.0-1 sdhci_brcmstb rp1_pci macb xhci_plat_hcd ext4 -- bcm2712-rpi-5-b bcm2712-d-rpi-5-b
  mkdir "$mirror/pool/trixie"
  cp -l "$mirror"/pool/bookworm/*.deb "$mirror/pool/trixie/"
  rm "$mirror"/pool/trixie/linux-image-*
  mirror_index bookworm bookworm
  mirror_index trixie trixie trixie-kernel
  mirror_index trixie-backports backports
  for name in bramble-node bramble-lease-holder; do mirror_unit $name.service; done
  mirror_package own bramble-node 0.1.0 'Depends: iproute2, nftables'
}

# What `--mirror` takes.
mirror_source() { printf '[trusted=yes] copy:%s' "$mirror"; }
mirror_deb() { printf '%s' "$mirror"/pool/own/bramble-node_0.1.0_arm64.deb; }
