#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The limit of a container's disk is a project quota of the node's ext4: real, and changed while it runs.
set -euo pipefail
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/guest/inside/node.sh
source "$BRAMBLE_SOURCE/tests/guest/inside/node.sh"

disk_mode_of() { container "$1" .status.disk_limit_mode; }

# Switches the enforcement of project quotas on the root's file system: quotactl(2) with Q_QUOTAON or Q_QUOTAOFF.
enforcement() { # command
  perl -e 'my $device = "/dev/vda"; syscall(179, (('"$1"' << 8) | 2) & 0xffffffff, $device, 0, 0) == 0 || die "quotactl: $!\n"' ||
    fail "quota command $1"
}

fill() { inside full "dd if=/dev/zero of=$1 bs=1M count=$2"; } # file MiB

must 'run' bramble container run full --image busybox --disk 32MiB
expect_equal 'by quota' "$(container full .status.disk_limit_mode)" project-quota
expect_equal 'nothing is missing' "$(record full '.degraded | join(" ")')" ''
expect_success 'up to the limit' fill /one 20
expect_failure 'no further' 'quota exceeded|No space left' fill /two 20
expect_equal 'what was written before is whole' "$(inside full 'stat -c %s /one')" $((20 * 1024 * 1024))
expect_success 'more, while it runs' bramble container limits full --disk 64MiB
expect_equal 'nothing is missing for it' "$(record full '.degraded | join(" ")')" ''
expect_success 'now there is room' fill /two 20
expect_success 'another container has room of its own' inside web 'dd if=/dev/zero of=/mine bs=1M count=40 && rm /mine'
expect_success 'less, while it runs' bramble container limits full --disk 48MiB
expect_failure 'and that is the limit' 'quota exceeded|No space left' fill /three 20
expect_success 'none any more' bramble container limits full --disk 0
expect_success 'so there is room' fill /three 20
expect_success 'delete' bramble container delete full

# A container that began without a limit gets one that counts all that it has written.
must 'run without a limit' bramble container run free --image busybox --disk 0
inside free 'mkdir -p /srv/deep && dd if=/dev/zero of=/srv/deep/one bs=1M count=20'
expect_success 'set one' bramble container limits free --disk 32MiB
expect_success 'by quota too' wait_for 20 is disk_mode_of free project-quota
expect_failure 'what was there counts' 'quota exceeded|No space left' inside free 'dd if=/dev/zero of=/srv/deep/two bs=1M count=20'
expect_success 'delete it' bramble container delete free

# The next container of the same range of ids does not take over its limit.
must 'run the next' bramble container run next --image busybox --disk 0
expect_success 'it has no limit' inside next 'dd if=/dev/zero of=/big bs=1M count=80'
expect_success 'delete the next' bramble container delete next

# A file system that counts and does not enforce is no limit: the size-limited file takes its place.
enforcement 0x800003
must 'run where nothing is enforced' bramble container run loop --image busybox --disk 32MiB
expect_equal 'by a file' "$(disk_mode_of loop)" loop-file
expect_failure 'which is a limit too' 'No space left' inside loop 'dd if=/dev/zero of=/big bs=1M count=40'
enforcement 0x800002
expect_success 'delete the last' bramble container delete loop
end_of_test
