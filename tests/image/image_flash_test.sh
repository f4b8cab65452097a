#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Flashing to files that stand for cards.
# shellcheck disable=SC2016  # inner shells expand them.
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/image/tree.sh
source "$BRAMBLE_SOURCE/tests/image/tree.sh"
export PATH=$PATH:/usr/sbin:/sbin SOURCE_DATE_EPOCH=1700000000

command -v mtype >/dev/null || skip_test "mtools is not installed (tools/setup --test)"
bramble=$BRAMBLE_BIN/bramble
image=$scratch/card.img
make_tree "$scratch/tree"
make_boot "$scratch/boot"
expect_success assemble "$bramble" sdcard assemble "$scratch/tree" "$scratch/boot" "$image" --size 2GiB --formats zst

hostname_of() { mtype -i "$1@@4194304" ::/bramble.toml | sed -n 's/^hostname = "\(.*\)"$/\1/p'; }

expect_success "one card" "$bramble" sdcard flash "$image" "$scratch/a"
expect_success "it is the image" "$bramble" sdcard verify "$scratch/a" --bmap "$image.bmap"
expect_success "three cards from .zst" "$bramble" sdcard flash "$image.zst" "$scratch/b" "$scratch/c" "$scratch/d" --hostname pi-09
expect_equal "names count up" "$(hostname_of "$scratch/b") $(hostname_of "$scratch/c") $(hostname_of "$scratch/d")" "pi-09 pi-10 pi-11"
expect_success "fsck of a card" fsck.ext4 -fn "$scratch/d?offset=$(sfdisk -J "$scratch/d" | jq '.partitiontable.partitions[2].start * 512')"

# A used card: the journal of before must be gone.
head -c 2147483648 /dev/zero | tr '\0' 'x' >"$scratch/used"
expect_success "a used card" "$bramble" sdcard flash "$image.zst" "$scratch/used"
expect_success "verified against the map" "$bramble" sdcard verify "$scratch/used" --bmap "$image.bmap"

# A card that differs by a setting: almost nothing is written, in pieces of 4 MiB at most.
written() { sed -n 's/.*read back, \([0-9.]*[KMG]*\)i*B written.*/\1/p' <<<"$1" | numfmt --from=iec; }
cp --sparse=always "$image" "$scratch/named.img"
expect_success "another name" "$bramble" sdcard customise "$scratch/named.img" --hostname pi-42
output=$("$bramble" sdcard flash --delta "$scratch/named.img" "$scratch/a")
expect_equal "little is written: $output" $(($(written "$output") <= 8388608)) 1
expect_equal "it has the name" "$(hostname_of "$scratch/a")" pi-42
output=$("$bramble" sdcard flash --delta "$scratch/named.img" "$scratch/a")
expect_equal "nothing is written: $output" "$(written "$output")" 0

# A card that differs by a file.
head -c 100000 /dev/urandom >"$scratch/tree/usr/share/many/file-7"
expect_success "another image" "$bramble" sdcard assemble "$scratch/tree" "$scratch/boot" "$scratch/new.img" --size 2GiB
expect_success "delta" "$bramble" sdcard flash --delta "$scratch/new.img" "$scratch/a"
expect_success "the new one is on it" "$bramble" sdcard verify "$scratch/a" --bmap "$scratch/new.img.bmap"

# Killed in the middle: it does not boot, and goes on.  Where it was quicker than this script, once more.
table_of() { head -c 512 "$1" | tr -d '\0' | wc -c; }
killed=
for ((try = 0; try < 50; ++try)); do
  cp --sparse=always "$image" "$scratch/target"
  "$bramble" sdcard flash "$scratch/new.img" "$scratch/target" >/dev/null 2>&1 & victim=$!
  while kill -0 "$victim" 2>/dev/null && [ "$(table_of "$scratch/target")" -ne 0 ]; do :; done
  kill -KILL "$victim" 2>/dev/null || true
  wait "$victim" 2>/dev/null || true
  if [ "$(table_of "$scratch/target")" -eq 0 ]; then
    killed=1
    break
  fi
done
expect_equal "it was killed in the middle" "$killed" 1
expect_failure "it does not boot" 'no partition table' "$bramble" sdcard verify "$scratch/target"
expect_success resume "$bramble" sdcard flash --resume "$scratch/new.img" "$scratch/target"
expect_success "whole after resuming" "$bramble" sdcard verify "$scratch/target" --bmap "$scratch/new.img.bmap"

# A disk that is full while a file is written.
if [ "$(id -u)" -eq 0 ] && unshare --mount true 2>/dev/null; then
  mkdir "$scratch/small"
  expect_failure "a full disk" '[Nn]o space left' unshare --mount sh -c \
    'mount -t tmpfs -o size=8M tmpfs "$1" && "$2" sdcard flash "$3" "$1/card"' sh "$scratch/small" "$bramble" "$image"
fi

# Refusals.
expect_failure "the map of another image" 'another image' "$bramble" sdcard flash "$image" "$scratch/e" --bmap "$scratch/new.img.bmap"
expect_equal "what failed bears no partition table" "$(head -c 512 "$scratch/e" | tr -d "\\0" | wc -c)" 0
expect_failure "a device that is not there" 'no such device' "$bramble" sdcard flash --yes "$image" /dev/bramble-none
expect_failure "a directory" 'neither a card nor a file' "$bramble" sdcard flash --yes "$image" "$scratch/tree"
printf 'not an image, but as long as one: %s' "$(seq 2000)" >"$scratch/noise.zst"
expect_failure "a file that is no image" 'no partition table' "$bramble" sdcard flash "$scratch/noise.zst" "$scratch/e"
head -c $(($(stat -c %s "$image.zst") / 2)) "$image.zst" >"$scratch/cut.img.zst"
expect_failure "a truncated image" 'cut short|damaged' "$bramble" sdcard flash "$scratch/cut.img.zst" "$scratch/e"
cp "$image.zst" "$scratch/bad.img.zst"
printf 'xxxxxxxx' | dd of="$scratch/bad.img.zst" bs=1 seek=$(($(stat -c %s "$image.zst") / 2)) conv=notrunc status=none
expect_failure "a corrupt image" 'damaged|cut short' "$bramble" sdcard flash "$scratch/bad.img.zst" "$scratch/e"
expect_failure "a name that is none" 'no host name' "$bramble" sdcard flash "$image" "$scratch/e" --hostname 'Pi 9'
expect_failure "twice the same" 'named twice' "$bramble" sdcard flash "$image" "$scratch/a" "$scratch/a"
# Real block devices, where this machine has loop devices to play them.
device=
detach() { [ -z "$device" ] || losetup -d "$device" || true; device=; }
trap 'detach; rm -rf "$scratch"' EXIT
attach() { # file size options…
  detach
  truncate -s "$2" "$1"
  device=$(losetup --show -f "${@:3}" "$1" 2>/dev/null) || device=
  [ -n "$device" ]
}
if [ "$(id -u)" -eq 0 ] && attach "$scratch/medium" 3G; then
  expect_failure "nobody to ask" 'say --yes' "$bramble" sdcard flash "$image.zst" "$device"
  expect_success "a block device" "$bramble" sdcard flash --yes "$image.zst" "$device" --hostname pi-03
  expect_success "sfdisk of the device" sfdisk --verify "$device"
  expect_equal "the name on it" "$(hostname_of "$device")" pi-03
  expect_equal "its root is the image's" "$(cmp -n 100000000 <(tail -c +1614807041 "$image") <(tail -c +1614807041 "$device") && printf same)" same
  expect_success "inspect the device" "$bramble" sdcard inspect "$device"
  expect_failure "a mounted device" "is mounted at $scratch/mounted: unmount" unshare --mount sh -c \
    'mkfs.ext4 -q -F "$1" && mkdir "$2" && mount "$1" "$2" && "$3" sdcard flash --yes "$4" "$1"' sh "$device" "$scratch/mounted" "$bramble" "$image"
  attach "$scratch/medium" 1G
  expect_failure "too small a device" 'too small by 1073741824 bytes' "$bramble" sdcard flash --yes "$image" "$device"
  attach "$scratch/medium" 3G -r
  expect_failure "a write-protected device" 'write-protected' "$bramble" sdcard flash --yes "$image" "$device"
  detach
fi
system_disk=$(findmnt -nvo SOURCE / || true)
if [ -b "$system_disk" ] && [ "$(id -u)" -eq 0 ]; then
  expect_failure "the system's disk" 'this system runs from' "$bramble" sdcard flash --yes "$image" "$system_disk"
fi
end_of_test
