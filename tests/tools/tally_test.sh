#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What tools/test counts: each case of GoogleTest, each script, and a program that died as a failure.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"

tally() { "$BRAMBLE_SOURCE/tools/test.d/tally" step "$scratch/reports"; }

new_reports() {
  rm -rf "$scratch/reports"
  mkdir "$scratch/reports"
}

# CTest's own report: each argument is `name|status|output`.
ctest_report() {
  local entry name status output
  {
    echo '<testsuite>'
    for entry in "$@"; do
      IFS='|' read -r name status output <<<"$entry"
      echo "<testcase name=\"$name\" status=\"$status\">"
      [ "$status" != fail ] || echo '<failure message="SEGFAULT"/>'
      [ "$status" != notrun ] || echo '<skipped message="SKIP_RETURN_CODE=77"/>'
      echo "<system-out>$output</system-out></testcase>"
    done
    echo '</testsuite>'
  } >"$scratch/reports/ctest.xml"
}

gtest_report() { # program, then the cases
  printf '<testsuites><testsuite name="S">%s</testsuite></testsuites>\n' "$2" >"$scratch/reports/$1.xml"
}

readonly ok='<testcase name="Works" classname="S" status="run"/>'
readonly bad='<testcase name="Fails" classname="S" status="run"><failure message="1 != 2"/></testcase>'
readonly skipped='<testcase name="Skips" classname="S" status="run"><skipped message="a.cc:1&#x0A;no openat2"/></testcase>'

new_reports
ctest_report 'a_test|fail|x'
gtest_report a_test "$ok$bad$skipped"
expect_equal "each case counts once, with its reason" "$(tally)" \
  $'passed\tstep\ta_test:S.Works\t\nfailed\tstep\ta_test:S.Fails\t1 != 2\nskipped\tstep\ta_test:S.Skips\tno openat2'

new_reports
ctest_report 'a_test|fail|Segmentation fault'
expect_equal "a program that wrote no report has failed" "$(tally)" \
  $'failed\tstep\ta_test\tSEGFAULT: Segmentation fault'

new_reports
ctest_report 'a_test|fail|leaked 8 bytes'
gtest_report a_test "$ok"
expect_equal "a program that failed after its cases has failed" "$(tally | cut -f 1 | paste -sd' ')" 'passed failed'

new_reports
ctest_report 'script_test|run|fine' 'other_test|notrun|no loop device'
expect_equal "a script is one test, exit 77 is a skip" "$(tally)" \
  $'passed\tstep\tscript_test\t\nskipped\tstep\tother_test\tno loop device'

new_reports
expect_equal "no report at all is a failure" "$(tally | cut -f 1)" failed

new_reports
ctest_report
expect_equal "no test at all is a failure" "$(tally | cut -f 1-3)" $'failed\tstep\tnothing ran'
end_of_test
