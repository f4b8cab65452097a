# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# tools/bench scheduler: 1,000 nodes x 20,000 containers in memory, then 50,000 decisions.  Sourced by tools/bench.

bench_scheduler() {
  local out
  out=$(mktemp)
  "$bench_build/bench/bench-scheduler" >"$out"
  row scheduler.placements 1/s "$(value placements_per_s "$out")" 'goal' 5000 'ours >= 5000'
  row scheduler.p99 us "$(value p99_us "$out")" 'goal' 2000 'ours <= 2000'
  row scheduler.median us "$(value median_us "$out")" 'loop over API objects, 3 of 13 rules' "$(value plain_us "$out")" ''
  row scheduler.update us "$(value update_median_us "$out")" '' '' ''
  rm -f "$out"
}
