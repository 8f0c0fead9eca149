#!/bin/sh
# Records two commands that do the same work, and fails if the second copies more: what packaging/action.yml runs.
#
#   compare.sh BASE HEAD
#
# BASE and HEAD are command lines for sh. In the environment:
#   ZCTRACE           the program (zctrace)
#   MAX_INCREASE      how much more may be copied (5%)
#   ACCEPT_INFERRED   true: rows that are inferred, not measured, may decide
#   OUTPUT            a directory for the recordings and the page (zctrace-comparison)
#   GITHUB_STEP_SUMMARY  a file that the comparison is appended to, in Markdown
#
# Exit status: 0 no more is copied, 1 more is copied, 2 usage error, 3 inconclusive.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: compare.sh BASE HEAD" >&2
    exit 2
fi
zctrace=${ZCTRACE:-zctrace}
output=${OUTPUT:-zctrace-comparison}
mkdir -p "$output"

record() {
    # If the command fails, it did not do its work, and `report` says so. Only a failed recording ends this script.
    status=0
    "$zctrace" record -o "$1" -- sh -c "$2" || status=$?
    if [ ! -s "$1" ]; then
        echo "compare.sh: nothing was recorded of: $2" >&2
        exit 3
    fi
    if [ "$status" -ne 0 ]; then
        echo "compare.sh: exit status $status: $2" >&2
    fi
}
record "$output/base.zct" "$1"
record "$output/head.zct" "$2"

set -- "$output/base.zct" "$output/head.zct" --max-increase "${MAX_INCREASE:-5%}"
if [ "${ACCEPT_INFERRED:-false}" = true ]; then
    set -- "$@" --accept-inferred
fi
status=0
"$zctrace" report "$@" || status=$?
# The same answer once more: a page to keep, and the summary of the job.
"$zctrace" report "$@" --html "$output/comparison.html" || [ $? -eq "$status" ]
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    "$zctrace" report "$@" --markdown >>"$GITHUB_STEP_SUMMARY" || [ $? -eq "$status" ]
fi
exit "$status"
