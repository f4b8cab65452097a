#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Flashing to files that stand for cards.
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

# A card that differs by one file: a tenth of the bytes at most.
head -c 100000 /dev/urandom >"$scratch/tree/usr/share/many/file-7"
expect_success "another image" "$bramble" sdcard assemble "$scratch/tree" "$scratch/boot" "$scratch/new.img" --size 2GiB
output=$("$bramble" sdcard flash --delta "$scratch/new.img" "$scratch/a")
expect_success "the new one is on it" "$bramble" sdcard verify "$scratch/a" --bmap "$scratch/new.img.bmap"
printf '%s\n' "$output"

# Killed in the middle: it does not boot, and goes on.
cp --sparse=always "$image" "$scratch/target"
"$bramble" sdcard flash "$scratch/new.img" "$scratch/target" & victim=$!
kill -KILL "$victim" 2>/dev/null || true
wait "$victim" 2>/dev/null || true
expect_success resume "$bramble" sdcard flash --resume "$scratch/new.img" "$scratch/target"
expect_success "whole after resuming" "$bramble" sdcard verify "$scratch/target" --bmap "$scratch/new.img.bmap"

# Refusals.
expect_failure "the map of another image" 'another image' "$bramble" sdcard flash "$image" "$scratch/e" --bmap "$scratch/new.img.bmap"
expect_equal "what failed bears no partition table" "$(head -c 512 "$scratch/e" | tr -d "\\0" | wc -c)" 0
expect_failure "a device that is not there" 'no such device' "$bramble" sdcard flash --yes "$image" /dev/bramble-none
expect_failure "a directory" 'neither a card nor a file' "$bramble" sdcard flash --yes "$image" "$scratch/tree"
expect_failure "twice the same" 'named twice' "$bramble" sdcard flash "$image" "$scratch/a" "$scratch/a"
system_disk=$(findmnt -nvo SOURCE / || true)
if [ -b "$system_disk" ] && [ "$(id -u)" -eq 0 ]; then
  expect_failure "the system's disk" 'this system runs from' "$bramble" sdcard flash --yes "$image" "$system_disk"
fi
end_of_test
