#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What we make is what everybody's tools take it for.
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/image/tree.sh
source "$BRAMBLE_SOURCE/tests/image/tree.sh"
export PATH=$PATH:/usr/sbin:/sbin SOURCE_DATE_EPOCH=1700000000

for tool in fsck.vfat sfdisk bmaptool zstd xz mcopy; do
  command -v "$tool" >/dev/null || skip_test "$tool is not installed (tools/setup --test)"
done
bramble=$BRAMBLE_BIN/bramble
image=$scratch/card.img
make_tree "$scratch/tree"
make_boot "$scratch/boot"

expect_success assemble "$bramble" sdcard assemble "$scratch/tree" "$scratch/boot" "$image" --formats zst,xz
expect_equal "size of the image" "$(stat -c %s "$image")" 31998345216
expect_success "sfdisk --verify" sfdisk --verify "$image"
expect_equal "starts on 4 MiB" "$(sfdisk -d "$image" | awk -F'[ =,]+' '/start=/ { for (i = 1; i <= NF; ++i) if ($i == "start" && $(i+1) % 8192) bad = 1 } END { print bad + 0 }')" 0
expect_equal "ends on 4 MiB" "$(sfdisk -d "$image" | awk -F'[ =,]+' '/size=/ { for (i = 1; i <= NF; ++i) if ($i == "size" && $(i+1) % 8192) bad = 1 } END { print bad + 0 }')" 0

offset_of() { sfdisk -J "$image" | jq ".partitiontable.partitions[$1].start * 512"; }
size_of() { sfdisk -J "$image" | jq ".partitiontable.partitions[$1].size * 512"; }
expect_success "fsck.ext4 -fn" fsck.ext4 -fn "$image?offset=$(offset_of 2)"
# fsck.vfat takes no offset.
dd if="$image" of="$scratch/boot.fat" bs=4M skip=1 count=$(($(size_of 0) / 4194304)) conv=sparse status=none
expect_success "fsck.vfat -n" fsck.vfat -n "$scratch/boot.fat"
mkdir "$scratch/out"
expect_success "mcopy reads every file" mcopy -s -n -i "$scratch/boot.fat" ::/ "$scratch/out"
expect_success "the files are the same" diff -r "$scratch/boot" "$scratch/out"

expect_success "zstd -t" zstd -tq "$image.zst"
expect_success "xz -t" xz -t "$image.xz"
expect_success "bmaptool copy" bmaptool copy --bmap "$image.bmap" "$image" "$scratch/copy.img"
expect_success "the copy is good" "$bramble" sdcard verify "$scratch/copy.img" --bmap "$image.bmap"
rm -f "$scratch/copy.img"
for packed in zst xz; do
  expect_success "verify .$packed" "$bramble" sdcard verify "$image.$packed" --bmap "$image.bmap"
done

# The same again, from a copy of the tree, elsewhere and later.
cp -a "$scratch/tree" "$scratch/tree2"
expect_success "assemble again" "$bramble" sdcard assemble "$scratch/tree2" "$scratch/boot" "$scratch/again.img"
expect_success "equal block maps: equal images" cmp "$image.bmap" "$scratch/again.img.bmap"
rm -f "$scratch/again.img"

# Changing one in place: quick, and still all of the above.
expect_success customise "$bramble" sdcard customise "$image" --hostname pi-07 --label class=a
expect_success "customise twice" "$bramble" sdcard customise "$image" --hostname pi-08
expect_success "verify after customise" "$bramble" sdcard verify "$image"
dd if="$image" of="$scratch/boot.fat" bs=4M skip=1 count=$(($(size_of 0) / 4194304)) conv=sparse status=none
expect_success "fsck.vfat -n after customise" fsck.vfat -n "$scratch/boot.fat"
expect_equal "the new name" "$(mtype -i "$scratch/boot.fat" ::/bramble.toml | grep hostname)" 'hostname = "pi-08"'
expect_equal "the label stays" "$(mtype -i "$scratch/boot.fat" ::/bramble.toml | grep -c '"class" = "a"')" 1
expect_failure "a packed image" 'unpack it first.*sdcard flash' "$bramble" sdcard customise "$image.zst" --hostname pi-08
before=$(sha256sum <"$image.bmap")
expect_success "customise a copy" "$bramble" sdcard customise "$image" --out "$scratch/pi-09.img" --hostname pi-09
expect_equal "the original stays" "$(sha256sum <"$image.bmap") $(mtype -i "$image@@4194304" ::/bramble.toml | grep hostname)" "$before hostname = \"pi-08\""
expect_equal "the copy has it" "$(mtype -i "$scratch/pi-09.img@@4194304" ::/bramble.toml | grep hostname)" 'hostname = "pi-09"'
expect_success "and a block map that fits" "$bramble" sdcard verify "$scratch/pi-09.img"
rm -f "$scratch"/pi-09.img*
expect_failure "a wrong name" 'no host name' "$bramble" sdcard customise "$image" --hostname 'Pi 9'

# Bad input.
expect_failure "no such file" 'none.img' "$bramble" sdcard inspect "$scratch/none.img"
head -c 100000 /dev/urandom >"$scratch/noise"
expect_failure "noise" 'partition table' "$bramble" sdcard verify "$scratch/noise"
head -c 5000000 "$image.xz" >"$scratch/cut.xz"
expect_failure "cut short" 'cut short' "$bramble" sdcard verify "$scratch/cut.xz" --bmap "$image.bmap"
expect_failure "size not divisible" 'no multiple of 4 MiB' \
  "$bramble" sdcard assemble "$scratch/tree" "$scratch/boot" "$scratch/x.img" --size 8000000000
expect_failure "too small" 'at least [0-9]+ bytes' \
  "$bramble" sdcard assemble "$scratch/tree" "$scratch/boot" "$scratch/x.img" --size 512MiB
expect_equal "nothing half made" "$(find "$scratch" -name 'x.img*' | wc -l)" 0
expect_failure "unknown board" 'unknown board "pi9": take one of pi-arm64' \
  "$bramble" sdcard build --board pi9 --out "$scratch"
expect_failure "a suite without a kernel for it" 'take trixie' \
  "$bramble" sdcard build --board pi5-arm64 --suite bookworm --out "$scratch"
printf 'board = "pi-arm64"\nsiez = "4GiB"\n' >"$scratch/m.toml"
expect_failure "a wrong manifest" 'm.toml:2.*siez' "$bramble" sdcard build --manifest "$scratch/m.toml" --out "$scratch"
end_of_test
