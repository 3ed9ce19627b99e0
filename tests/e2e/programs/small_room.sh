#!/usr/bin/env bash
# Nine processes on a tmpfs of 64 MB, as Docker gives by default: small_room.sh FOLDER COMMAND...
# Runs in a mount namespace of its own; prints what is left free, and the reports.
set -euo pipefail
folder=$1
shift
mount -t tmpfs -o size=64m,mode=700 tmpfs "$folder"
export MEMTRACE_DIR=$folder
for _ in 1 2 3 4 5 6 7 8 9; do
    LD_PRELOAD=$MEMTRACE_PRELOAD "$@" &
done
wait
df -Pk "$folder" | awk 'NR == 2 { print "free", $4 }'
ls -l "$folder" | awk '/[.]ring$/ { print "ring", $5 }'
exec "$MEMTRACE_BIN" report --json
