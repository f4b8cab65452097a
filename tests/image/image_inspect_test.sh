#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `sdcard inspect` and `verify` on images of others, made by everybody's tools as vendors make them, good and bad.
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
export PATH=$PATH:/usr/sbin:/sbin

for tool in sfdisk mkfs.vfat mkfs.ext4 mcopy xz jq; do
  command -v "$tool" >/dev/null || skip_test "$tool is not installed (tools/setup --test)"
done
bramble=$BRAMBLE_BIN/bramble

# As the images of Raspberry Pi OS are: two partitions, FAT32 and ext4, kernels of the usual names, several boards.
vendor_image() { # image, start of the boot partition in sectors, size of FAT (12, 16, 32), MiB of it
  local image=$1 start=$2 fat=$3 mib=$4 files=$scratch/files
  rm -f "$image"
  truncate -s 512M "$image"
  printf 'label: dos\nlabel-id: 0xcafe0002\nstart=%s, size=%sMiB, type=c\nstart=%sMiB, type=83\n' \
    "$start" "$mib" $((mib + 8)) | sfdisk -q "$image"
  rm -rf "$files" "$scratch/fat"
  mkdir -p "$files/overlays"
  for name in bootcode.bin start.elf fixup.dat start4.elf fixup4.dat kernel8.img bcm2710-rpi-3-b.dtb overlays/disable-bt.dtbo; do
    printf '%s' "$name" >"$files/$name"
  done
  printf '# as shipped\n[cm4]\notg_mode=1\n[all]\narm_64bit=1\ndtparam=audio=on\n' >"$files/config.txt"
  printf 'console=serial0,115200 root=PARTUUID=cafe0002-02 rootfstype=ext4 fsck.repair=yes rootwait quiet\n' >"$files/cmdline.txt"
  truncate -s "${mib}M" "$scratch/fat"
  mkfs.vfat -F "$fat" -n BOOTFS "$scratch/fat" >/dev/null
  mcopy -s -i "$scratch/fat" "$files"/* ::/
  dd if="$scratch/fat" of="$image" bs=512 seek="$start" conv=notrunc,sparse status=none
  mkfs.ext4 -q -F -L rootfs -E "offset=$(((mib + 8) * 1048576))" "$image" 400M
}
inspect() { "$bramble" sdcard inspect "$@"; }
findings() { inspect "$1" -o json | jq -r '[.findings[] | .what] | join("; ")'; }

image=$scratch/vendor.img
vendor_image "$image" 8192 32 64
expect_equal "nothing is wrong with it" "$(findings "$image")" ""
expect_success "it is verified" "$bramble" sdcard verify "$image"
expect_equal "what its partitions hold" "$(inspect "$image" -o json | jq -r '[.partitions[] | .holds + " " + .label] | join(", ")')" "FAT32 BOOTFS, ext4 rootfs"
expect_equal "where they lie" "$(inspect "$image" -o json | jq -c '[.partitions[] | .start_bytes, .start_aligned, .end_aligned]')" '[4194304,true,true,75497472,true,true]'
expect_equal "as a table" "$(inspect "$image" | awk '$1 == 2 { print $2, $3, $4, $5, $6, $8 }')" "Linux ext4 rootfs 75497472 yes yes"
xz -k -1 "$image"
expect_equal "packed by the stock xz" "$(findings "$image.xz")" ""
zstd -q -k "$image"
expect_equal "packed by the stock zstd" "$(findings "$image.zst")" ""
gzip -k "$image"
expect_failure "gzip" 'unpack it first' inspect "$image.gz" --checksum

vendor_image "$image" 2048 32 64
expect_equal "a partition off the lines" "$(findings "$image")" "partition 1 does not begin and end on a line of 4 MiB"
expect_success "is only a warning" "$bramble" sdcard verify "$image"
expect_equal "which end it is" "$(inspect "$image" -o json | jq -c '.partitions[0] | [.start_aligned, .end_aligned]')" '[false,false]'

vendor_image "$image" 8192 16 64
expect_failure "a FAT16 boot partition" 'FAT32' "$bramble" sdcard verify "$image"

vendor_image "$image" 8192 32 64
mcopy -o -i "$image@@4194304" - ::/recovery.bin <<<x
expect_failure "recovery.bin" 'recovery.bin is on the boot partition' "$bramble" sdcard verify "$image"

vendor_image "$image" 8192 32 64
tr '\n' ' ' <<<'root=PARTUUID=cafe0009-02 rootwait' | mcopy -o -i "$image@@4194304" - ::/cmdline.txt
expect_failure "the root of another card" 'cafe0009-02, and no partition of the card has that id' "$bramble" sdcard verify "$image"
expect_failure "a board that it is not for" 'the device tree bcm2712-rpi-5-b.dtb of pi5-arm64 is missing' "$bramble" sdcard verify "$image" --board pi5-arm64

# Damage.
vendor_image "$image" 8192 32 64
head -c 300M "$image" >"$scratch/cut.img"
expect_failure "cut short" 'partition 2 ends [0-9]+ bytes beyond the image' "$bramble" sdcard verify "$scratch/cut.img"
head -c 700 /dev/urandom | dd of="$image" bs=512 seek=8224 conv=notrunc status=none
expect_failure "a damaged FAT" 'boot partition' "$bramble" sdcard verify "$image"
vendor_image "$image" 8192 32 64
debugfs -w -R 'ssv state 2' "$image?offset=75497472" >/dev/null 2>&1
expect_failure "a root with errors" 'not unmounted cleanly, or with errors: run e2fsck' "$bramble" sdcard verify "$image"
printf 'label: gpt\nsize=64MiB, type=U\n' | sfdisk -q "$image"
expect_failure "GPT" "slot 1 of the partition table is GPT's" "$bramble" sdcard verify "$image"
expect_failure "noise" 'no partition table' "$bramble" sdcard verify "$bramble"
expect_failure "nothing" 'neither a file nor a block device' "$bramble" sdcard inspect /dev/null
end_of_test
