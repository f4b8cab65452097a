# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The table that every bench prints.  Sourced.
#
#   row NAME UNIT OURS REFERENCE REFERENCE_VALUE GOAL
#
# GOAL is "ratio <= 3", "ours >= 5000" or "" (for information); ratio is OURS / REFERENCE_VALUE.  A REFERENCE_VALUE of ""
# means that the peer is not installed: then a goal of the ratio is neither met nor missed.

report_begin() {
  report_rows=$(mktemp)
  report_at_end=:
  # What a bench brought up goes also when it fails.
  trap '$report_at_end; rm -f "$report_rows"' EXIT
}

row() {
  [ $# -eq 6 ] || die "row takes 6 arguments: $*"
  awk -v OFS='\t' -v name="$1" -v unit="$2" -v ours="$3" -v reference="$4" -v value="$5" -v goal="$6" 'BEGIN {
    ratio = (value + 0 > 0) ? sprintf("%.4g", ours / value) : ""
    split(goal, part, " ")
    measured = part[1] == "ratio" ? ratio : ours
    ok = "-"
    if (goal != "" && measured != "")
      ok = (part[2] == "<=" ? measured + 0 <= part[3] + 0 : measured + 0 >= part[3] + 0) ? "yes" : "NO"
    print name, unit, ours, reference, (value == "" ? "-" : value), (ratio == "" ? "-" : ratio), (goal == "" ? "-" : goal), ok
  }' >>"$report_rows"
}

report_machine() {
  printf '%s, %s cores, %s MiB, Linux %s, %s\n' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
    "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" "$(uname -r)" \
    "$(. /etc/os-release && printf '%s' "$PRETTY_NAME")"
}

report_end() {
  if [ -n "${json:-}" ]; then
    jq -cR 'split("\t") | def number: if . == "-" then null else tonumber end;
      {name: .[0], unit: .[1], ours: (.[2] | number), reference: (if .[3] == "" then null else .[3] end),
       reference_value: (.[4] | number), ratio: (.[5] | number), goal: (if .[6] == "-" then null else .[6] end),
       ok: (if .[7] == "-" then null else .[7] == "yes" end)}' "$report_rows"
  else
    printf 'Machine: %s\n\n' "$(report_machine)"
    { printf 'name\tunit\tours\treference\tits value\tratio\tgoal\tok\n'; cat "$report_rows"; } |
      awk -F '\t' '{ for (i = 1; i <= NF; ++i) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } }
        END { for (r = 1; r <= NR; ++r) { line = ""
                for (i = 1; i <= NF; ++i)
                  line = line sprintf((i == 3 || i == 5 || i == 6 ? "%" : "%-") width[i] "s  ", cell[r, i])
                sub(/ +$/, "", line); print line } }'
  fi
  ! cut -f 8 "$report_rows" | grep -qx NO
}

# The median of the numbers on stdin, one a line; of an even count the lower one.
median() { sort -g | awk '{ v[NR] = $1 } END { if (NR == 0) exit 1; print v[int((NR + 1) / 2)] }'; }

# value NAME FILE: of a line "NAME VALUE" in a file.
value() { awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }' "$2"; }
