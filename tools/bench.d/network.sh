# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# tools/bench network: each part is a file tools/bench.d/network_PART.sh with a function PART_measure and PART_down,
# which takes down what it brought up.  Sourced by tools/bench.

bench_network() {
  local part file
  for file in "$top"/tools/bench.d/network_*.sh; do
    part=$(basename "$file" .sh)
    part=${part#network_}
    # shellcheck source=/dev/null
    . "$file"
    report_at_end=${part}_down
    "${part}_measure"
    report_at_end=:
  done
}
