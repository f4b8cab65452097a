#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A card made by `bramble sdcard build` boots in an emulated Raspberry Pi 3 from its own boot partition, with the power cut
# during its first boot, grows, joins a real controller over the emulated network, and runs a container.  Needs root, and the
# board's packages (tools/dev/packages arm64).
set -euo pipefail
# shellcheck source=tests/cluster.sh
source "$BRAMBLE_SOURCE/tests/cluster.sh"
export PATH=$PATH:/usr/sbin:/sbin SOURCE_DATE_EPOCH=1700000000

board=
also_take_down() { [ "$checks_failed" -eq 0 ] || tail -n 60 "$scratch"/console-*.log || true; }

debs=("$BRAMBLE_SOURCE"/build/arm64/packages/bramble-node_*_arm64.deb)
[ -f "${debs[0]}" ] || skip_test "no arm64 packages (tools/dev/packages arm64)"
for tool in qemu-system-aarch64 mcopy mmdebstrap; do
  command -v "$tool" >/dev/null || skip_test "$tool is not installed (tools/setup --test)"
done
# Emulation of the board's programs, for installing them.
if [ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; then
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null || true
  update-binfmts --enable qemu-aarch64 >/dev/null 2>&1 || skip_test "this kernel runs no arm64 programs (binfmt_misc)"
fi

network_switch
network_host controller 172.16.0.1/24
in_host switch ip tuntap add dev board mode tap
in_host switch ip link set board master lan up
controller_start || fail "no controller"
expect_success "cluster init" cluster_cli cluster init --controller https://172.16.0.1:8443 \
  --state "$CLUSTER_STATE/controller/state"
cluster_cli token create --max-uses 5 -o name >"$scratch/token"

# QEMU's network adapter is one for USB, which the kernel calls usb0: a layer of the test's own gives it the board's name.
mkdir -p "$scratch/layer/tree/etc/systemd/network"
: >"$scratch/layer/layer.toml"
printf '[Match]\nDriver=cdc_ether\n\n[Link]\nName=eth0\n' >"$scratch/layer/tree/etc/systemd/network/10-emulated.link"

expect_success build "$BRAMBLE_BIN/bramble" sdcard build --board pi-arm64 --out "$scratch/out" --size 2GiB --swap 64MiB \
  --formats img --deb "${debs[0]}" --token-file "$scratch/token" --hostname pi-07 --address 172.16.0.11/24 --label room=b12 \
  --layer "$scratch/layer"
image=$scratch/out/bramble-pi-arm64.img
expect_success "the image is good" "$BRAMBLE_BIN/bramble" sdcard verify "$image"
[ -f "$image" ] || { end_of_test; exit 1; }

# The board's firmware, played: what it would load from the boot partition.
mkdir "$scratch/fat"
mcopy -n -i "$image@@4194304" ::/config.txt ::/cmdline.txt "$scratch/fat/"
kernel=$(sed -n 's/^kernel=//p' "$scratch/fat/config.txt")
initramfs=$(sed -n 's/^initramfs //p' "$scratch/fat/config.txt")
mcopy -n -i "$image@@4194304" "::/$kernel" "::/$initramfs" ::/bcm2837-rpi-3-b.dtb "$scratch/fat/"
# The card that it is written to is larger: the root has something to grow into.
truncate -s 4G "$image"

boots=0
# Without its watchdog, which the emulated board takes for a reset as soon as it is armed (QEMU 7.2, bcm2835_powermgt).
power_on() {
  boots=$((boots + 1))
  nsenter --net="/run/netns/$CLUSTER_PREFIX-switch" nice -n 5 qemu-system-aarch64 -M raspi3b -no-reboot -display none \
    -kernel "$scratch/fat/$kernel" -initrd "$scratch/fat/$initramfs" -dtb "$scratch/fat/bcm2837-rpi-3-b.dtb" \
    -append "$(cat "$scratch/fat/cmdline.txt") systemd.show_status=1 module_blacklist=bcm2835_wdt" \
    -drive "if=sd,format=raw,cache=writeback,file=$image" -usb -device usb-net,netdev=n0,mac=40:54:00:12:34:57 \
    -netdev tap,id=n0,ifname=board,script=no,downscript=no \
    -serial "file:$scratch/console-$boots.log" -serial "file:$scratch/console-$boots-b.log" >"$scratch/qemu.log" 2>&1 &
  board=$!
}
power_off() {
  kill -KILL "$board" 2>/dev/null || true
  wait "$board" 2>/dev/null || true
  board=
}
console_says() { cat "$scratch"/console-"$boots"*.log | tr -d '\000' | grep -Eq -- "$1"; }
is_ready() { [ "$(cluster_cli node show pi-07 -o json | jq -r .state)" = ready ]; }
has_rebooted() { [ "$(cluster_cli node show pi-07 -o json | jq -r .boot_id)" != "$1" ]; }

# The power is cut at three moments of the first boot.
for moment in 'initramfs: root is' 'Bramble: make this card' 'Bramble node agent'; do
  power_on
  wait_for 200 console_says "$moment" || fail "the console never said: $moment"
  power_off
done
power_on
expect_success "it joins" wait_for 300 is_ready
expect_equal "its label" "$(cluster_cli node show pi-07 -o json | jq -r '.labels.room')" b12

# The smallest image for it: the card's own busybox.
root_start=$(sfdisk -J "$image" | jq '.partitiontable.partitions[2].start')
mkdir -p "$scratch/busybox/"{bin,sbin,dev,proc,sys,etc,tmp,run,root}
debugfs -R "dump /usr/bin/busybox $scratch/busybox/bin/busybox" "$image?offset=$((root_start * 512))" 2>/dev/null
chmod 0755 "$scratch/busybox/bin/busybox"
ln -s ../bin/busybox "$scratch/busybox/sbin/init"
for applet in sh uname cat test sleep; do ln -s busybox "$scratch/busybox/bin/$applet"; done
printf '::respawn:/bin/sleep 1000\n' >"$scratch/busybox/etc/inittab"
tar -C "$scratch/busybox" --owner=0 --group=0 -cf "$scratch/busybox.tar" .
expect_success "import it" cluster_cli image import "$scratch/busybox.tar" --name busybox --architecture arm64
expect_success "run it" cluster_cli container run web --image busybox --timeout 4m
expect_equal "it is an arm64" "$(cluster_cli container exec web -- uname -m)" aarch64
expect_equal "its memory is limited" "$(cluster_cli container exec web -- cat /sys/fs/cgroup/memory.max)" 268435456
power_off

fat_text=$(mtype -i "$image@@4194304" ::/bramble.toml)
expect_equal "the token is wiped" "$(grep -c brm1 <<<"$fat_text")" 0
root_start=$(sfdisk -J "$image" | jq '.partitiontable.partitions[2].start')
root_size=$(sfdisk -J "$image" | jq '.partitiontable.partitions[2].size')
expect_equal "the root's partition ends with the card" $(((root_start + root_size) * 512)) 4294967296
e2fsck -fy "$image?offset=$((root_start * 512))" >/dev/null 2>&1 || true
blocks=$(dumpe2fs -h "$image?offset=$((root_start * 512))" 2>/dev/null | sed -n 's/^Block count: *//p')
expect_equal "and so does its file system" $((blocks * 4096)) $((root_size * 512))
end_of_test
