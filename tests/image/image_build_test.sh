#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `bramble sdcard build` from a mirror to all it leaves, with a Debian of a few MiB (mirror.sh).  Needs root.
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/image/mirror.sh
source "$BRAMBLE_SOURCE/tests/image/mirror.sh"
export PATH=$PATH:/usr/sbin:/sbin SOURCE_DATE_EPOCH=1700000000

[ "$(id -u)" -eq 0 ] || skip_test "not root"
for tool in mmdebstrap sfdisk mtype debugfs openssl jq xz; do
  command -v "$tool" >/dev/null || skip_test "$tool is not installed (tools/setup --test)"
done
bramble=$BRAMBLE_BIN/bramble
out=$scratch/out
make_mirror "$scratch/mirror"
printf 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789 teacher\n' >"$scratch/key.pub"
printf 'correct horse\n' >"$scratch/wifi-password"
openssl ecparam -name prime256v1 -genkey -noout -out "$scratch/sign.pem" 2>/dev/null
chmod 0600 "$scratch/sign.pem"
openssl pkey -in "$scratch/sign.pem" -pubout -out "$scratch/sign.pub"
mkdir -p "$scratch/layer/tree/etc/lesson"
printf 'packages = ["extra"]\n' >"$scratch/layer/layer.toml"
printf 'ours\n' >"$scratch/layer/tree/etc/lesson/file"

build() { # out options…; $board
  local to=$1
  shift
  "$bramble" sdcard build --board "${board:-pi-arm64}" --mirror "$(mirror_source)" --deb "$(mirror_deb)" --cache "$scratch/cache" \
    --size 1GiB --swap 64MiB --formats img --out "$to" "$@"
}

# Everything at once.
expect_success build build "$out" --hostname pi-01 --ssh-key "$scratch/key.pub" --wifi School --wifi-password-file "$scratch/wifi-password" \
  --wifi-country NL --layer "$scratch/layer" --packages many --formats zst,xz,imager --sign-key "$scratch/sign.pem" \
  --url https://example.org/cards/
image=$out/bramble-pi-arm64.img
[ -f "$image" ] || { end_of_test; exit 1; }
expect_equal "what there is" "$(cd "$out" && printf '%s ' *)" \
  "SHA256SUMS SHA256SUMS.sig bramble-pi-arm64-imager.img.xz bramble-pi-arm64.img bramble-pi-arm64.img.bmap bramble-pi-arm64.img.xz bramble-pi-arm64.img.zst bramble-pi-arm64.rpi-imager-manifest bramble-pi-arm64.settings.toml bramble-pi-arm64.spdx.json bramble-pi-arm64.toml "
expect_success "verify, with its signature" "$bramble" sdcard verify "$image.zst" --key "$scratch/sign.pub"
expect_success "verify the image" "$bramble" sdcard verify "$image"
expect_success "sfdisk --verify" sfdisk --verify "$image"
root_offset=$(sfdisk -J "$image" | jq '.partitiontable.partitions[2].start * 512')
# A directory of four blocks, which e2fsck packs into five: the quotas are right after that too.
expect_equal "fsck.ext4 -fn" "$(fsck.ext4 -fn "$image?offset=$root_offset" 2>&1 | grep -ciE 'warning|inconsistent|fix')" 0
expect_success "sha256sum -c" sh -c "cd '$out' && sha256sum -c --strict SHA256SUMS"
expect_success "openssl knows the signature" openssl dgst -sha256 -verify "$scratch/sign.pub" -signature "$out/SHA256SUMS.sig" "$out/SHA256SUMS"
openssl ecparam -name prime256v1 -genkey -noout 2>/dev/null | openssl pkey -pubout -out "$scratch/other.pub"
expect_failure "of another signer" 'was not signed by' "$bramble" sdcard verify "$image.zst" --key "$scratch/other.pub"

# The boot partition.
settings=$(mtype -i "$image@@4194304" ::/bramble.toml)
expect_equal "host name, key and Wi-Fi are on it" \
  "$(grep -cE '^(hostname = "pi-01"|ssh_keys = \["ssh-ed25519 .* teacher"\]|ssid = "School"|password = "correct horse"|country = "NL")$' <<<"$settings")" 5
expect_equal "inspect shows no secret" "$("$bramble" sdcard inspect "$image" | grep -c 'correct horse')" 0
expect_equal "and all else" "$("$bramble" sdcard inspect "$image" | grep -c 'ssid = "School"')" 1
expect_equal "inspect counts what the image has" "$("$bramble" sdcard inspect "$image" --checksum -o json | jq -r .sha256)" "$(sha256sum <"$image" | cut -d ' ' -f 1)"
expect_equal "the kernel is the tree's" "$(mtype -i "$image@@4194304" ::/config.txt | sed -n 's/^kernel=//p')" vmlinuz-6.1.0-1-arm64

# The root.
in_root() { debugfs -R "$1" "$image?offset=$root_offset" 2>/dev/null; }
expect_equal "a file of --packages" "$(in_root 'ls -p /usr/share/many' | grep -c a-file)" 330
expect_equal "a file of the layer's package" "$(in_root 'cat /usr/share/extra/file')" here
expect_equal "a file of the layer" "$(in_root 'cat /etc/lesson/file')" ours
expect_equal "spares the card" "$(in_root 'cat /etc/fstab' | grep -cE '^LABEL=bramble-root .*noatime,commit=60,.*prjquota')" 1
expect_equal "zram is used before the swap partition" \
  "$(in_root 'cat /etc/systemd/zram-generator.conf' | sed -n 's/^swap-priority = //p') $(in_root 'cat /etc/fstab' | grep -o 'pri=[0-9]*')" "100 pri=10"
expect_equal "the watchdog is armed" "$(in_root 'cat /etc/systemd/system.conf.d/bramble.conf' | sed -n 's/^RuntimeWatchdogSec=//p')" 15s
expect_equal "logs stay in memory" "$(in_root 'cat /etc/systemd/journald.conf.d/bramble.conf' | grep -cE '^(Storage=volatile|RuntimeMaxUse=.*M)$')" 2
expect_equal "no passwords over ssh" "$(in_root 'cat /etc/ssh/sshd_config.d/bramble.conf' | grep -c '^PasswordAuthentication no$')" 1
expect_equal "no password at all" "$(in_root 'cat /etc/shadow' | cut -d : -f 2 | sort -u)" '*'
expect_equal "no identity" "$(in_root 'cat /etc/machine-id')$(in_root 'ls -p /etc/ssh' | grep -c ssh_host_)$(in_root 'ls -p /var/lib/systemd' | grep -c random-seed)" 00
expect_equal "the agent is enabled" "$(in_root 'ls -p /etc/systemd/system/multi-user.target.wants' | grep -cE '/(bramble-node|bramble-lease-holder|bramble-first-boot|ssh|apparmor)\.service/')" 5
partuuid=$(sfdisk -d "$image" | sed -n 's/^label-id: 0x//p')-03
expect_equal "an upgrade of raspi-firmware keeps our settings" "$(in_root 'cat /etc/default/raspi-firmware' | sed -n 's/^ROOTPART=//p')" "PARTUUID=$partuuid"
expect_equal "and the memory cgroup" "$(in_root 'cat /etc/default/raspi-extra-cmdline' | grep -c cgroup_enable=memory)" 1
expect_equal "cmdline.txt names this root" "$(mtype -i "$image@@4194304" ::/cmdline.txt | grep -c "root=PARTUUID=$partuuid .*cgroup_enable=memory")" 1
facts=$(dumpe2fs -h "$image?offset=$root_offset" 2>/dev/null)
expect_equal "project quotas" "$(grep -c '^Filesystem features:.* quota .*project\|^Filesystem features:.* project.* quota' <<<"$facts")" 1
expect_equal "a journal of 32 MiB" "$(sed -n 's/^Total journal size: *//p' <<<"$facts")" 32M
expect_equal "one inode for 64 KiB" $(($(sed -n 's/^Block count: *//p' <<<"$facts") / $(sed -n 's/^Inode count: *//p' <<<"$facts") / 16)) 1

# What goes with it.
expect_equal "SPDX has every package" "$(jq -r '[.spdxVersion, (.packages | map(.name) | contains(["many", "extra", "bramble-node", "dpkg"])),
  (.packages | length) == (.relationships | length), (.packages | map(.SPDXID) | unique | length) == (.packages | length)] | map(tostring) | join(" ")' \
  "$out/bramble-pi-arm64.spdx.json")" "SPDX-2.3 true true true"
# The required fields of Imager's os-list-schema.json, with their types.
expect_success "the OS list is as Imager's schema says" jq -e '(keys == ["os_list"]) and (.os_list | length == 1) and (.os_list[0] |
  ([.name, .description, .icon, .url, .extract_sha256, .release_date] | all(type == "string")) and
  ([.extract_size, .image_download_size] | all(type == "number" and . == floor and . > 0)) and
  (.release_date | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}$")) and ([.extract_sha256, .image_download_sha256] | all(test("^[0-9a-f]{64}$"))) and
  (.devices | type == "array" and length > 0 and all(type == "string")) and .init_format == "rpi-preseed")' \
  "$out/bramble-pi-arm64.rpi-imager-manifest"
list() { jq -r ".os_list[0].$1" "$out/bramble-pi-arm64.rpi-imager-manifest"; }
xz -dkc "$out/bramble-pi-arm64-imager.img.xz" >"$scratch/small.img"
expect_equal "it says what the small image has" "$(list extract_size) $(list extract_sha256) $(list image_download_size)" \
  "$(stat -c %s "$scratch/small.img") $(sha256sum <"$scratch/small.img" | cut -d ' ' -f 1) $(stat -c %s "$out/bramble-pi-arm64-imager.img.xz")"
expect_equal "and where it will be" "$(list url)" https://example.org/cards/bramble-pi-arm64-imager.img.xz
expect_success "the small image is good" "$bramble" sdcard verify "$scratch/small.img" --board pi-arm64
expect_equal "it is small" $(($(stat -c %s "$scratch/small.img") < 1000000000)) 1

# Another name: nothing is installed again.
said=$(build "$scratch/again" --hostname pi-02 --layer "$scratch/layer" --packages many 2>&1 >/dev/null)
expect_equal "a changed setting installs nothing" "$(grep -cE 'installing|adding' <<<"$said")" 0

# Its manifest builds it again, elsewhere and with an empty cache, from copies of what it was made of.
expect_success "build by the manifest" "$bramble" sdcard build --manifest "$out/bramble-pi-arm64.toml" --cache "$scratch/cache2" --out "$scratch/twice" \
  --wifi School --wifi-password-file "$scratch/wifi-password" --wifi-country NL --sign-key "$scratch/sign.pem"
for file in bramble-pi-arm64.img bramble-pi-arm64.img.bmap bramble-pi-arm64.img.zst bramble-pi-arm64.img.xz bramble-pi-arm64-imager.img.xz \
  bramble-pi-arm64.rpi-imager-manifest bramble-pi-arm64.spdx.json bramble-pi-arm64.toml SHA256SUMS; do
  expect_success "equal: $file" cmp "$out/$file" "$scratch/twice/$file"
done
expect_equal "no secret in what describes it" "$(grep -l 'correct horse' "$out"/*.toml "$out"/*.json | wc -l)" 0
sed "s/^packages = \"[0-9a-f]*\"/packages = \"0123\"/" "$out/bramble-pi-arm64.toml" >"$out/other.toml"
expect_failure "of another Debian" 'had other packages' "$bramble" sdcard build --manifest "$out/other.toml" --cache "$scratch/cache2" --out "$scratch/none"

# Other packages: what was downloaded once is not asked for again.
mkdir "$scratch/away"
mv "$mirror"/pool/bookworm/*.deb "$scratch/away/"
expect_success "from what was downloaded" build "$scratch/fewer" --packages extra
mv "$scratch"/away/*.deb "$mirror/pool/bookworm/"

# A manifest of one's own; files are named from where it lies.
cat >"$scratch/mine.toml" <<END
board = "pi-arm64"
mirror = "$(mirror_source)"
debs = ["mirror/pool/own/bramble-node_0.1.0_arm64.deb"]
layers = ["layer"]
size = "1GiB"
swap = "64MiB"
formats = ["img"]
END
expect_success "a manifest" env -C / "$bramble" sdcard build --manifest "$scratch/mine.toml" --cache "$scratch/cache" --out "$scratch/mine"
expect_equal "its layer is in" "$(debugfs -R 'cat /etc/lesson/file' "$scratch/mine/bramble-pi-arm64.img?offset=$root_offset" 2>/dev/null)" ours

# Kernels of other suites: a Pi 5 needs the one of backports, and the linter refuses what would not boot.
board=pi5-arm64
expect_success "a Pi 5 with the kernel of backports" build "$scratch/pi5" --suite trixie
expect_equal "only its kernel is from there" "$(jq -r '[.packages[] | select(.name == "linux-image-arm64" or .name == "nftables") | .versionInfo] | join(" ")' \
  "$scratch/pi5/bramble-pi5-arm64.spdx.json")" "7.3.0-1 1"
expect_failure "a Pi 5 with the kernel of trixie" 'would not boot: the kernel has no driver for card of pi5-arm64 \(sdhci_brcmstb\)' \
  build "$scratch/none" --kernel-suite trixie
expect_failure "a suite that has none for it" 'no kernel that drives Raspberry Pi 5, 64 bit; take trixie' \
  build "$scratch/none" --suite bookworm
expect_equal "what is refused leaves nothing" "$(find "$scratch/none" -type f 2>/dev/null | wc -l)" 0
end_of_test
