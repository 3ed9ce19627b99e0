#!/usr/bin/env bash
# What Docker gives a container, as far as memtrace sees it: container.sh RINGS MOUNTED COMMAND...
# 64 MB of /dev/shm, process ids of its own, and the folder RINGS of the host mounted at MOUNTED. Runs in mount and pid
# namespaces of its own.
set -euo pipefail
rings=$1 mounted=$2
shift 2
mount --bind "$rings" "$mounted"
mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm
mount -t proc proc /proc
export MEMTRACE_DIR=$mounted LD_PRELOAD=$MEMTRACE_PRELOAD
exec "$@"
