#!/usr/bin/env bash
# disk.sh TROUBLE RUNDIR OUT BOCR ARGUMENT…: runs in a mount namespace of its own. A small file system is mounted, a run is
# started on it, TROUBLE is done to it, the run must end with 75 and name the directory; then the trouble is mended, the
# same command must end with 0, and the run directory is copied to RUNDIR of the outer world.
set -euo pipefail
trouble=$1 run=$2 out=$3 bocr=$4
shift 4
disk=$(mktemp -d)
mount -t tmpfs -o size=64m bocr-test-disk "$disk"
mkdir -p "$disk/run"
arguments=()
for word in "$@"; do
    if [[ $word == "$run" ]]; then word=$disk/run; fi
    arguments+=("$word")
done

settled() {
    { grep -o '"settled": [0-9]*' "$disk/run/status.json" 2>/dev/null || echo 0; } | grep -o '[0-9]*$'
}

"$bocr" "${arguments[@]}" >>"$out" 2>&1 &
bocr_process=$!
until [[ $(settled) -ge 5 ]]; do
    kill -0 "$bocr_process" || { echo "the run has ended too early" && exit 1; }
    sleep 0.05
done
case $trouble in
    full) dd if=/dev/zero of="$disk/fill" bs=4096 2>/dev/null || true ;;
    # A file that is open for writing keeps a file system from becoming read-only: so its whole tree goes.
    read-only) mount -o remount,ro "$disk" 2>/dev/null || { mount --bind "$disk" "$disk" && mount -o remount,ro,bind "$disk"; } ;;
    gone) rm -rf "$disk/run" ;;
esac
code=0
wait "$bocr_process" || code=$?
if [[ $code -ne 75 ]]; then echo "the run ended with $code instead of 75" && exit 1; fi
if ! grep -q "$disk/run" "$out"; then echo "nobody named $disk/run" && exit 1; fi
case $trouble in
    full) rm "$disk/fill" ;;
    read-only) mount -o remount,rw "$disk" 2>/dev/null || { umount "$disk" && mount -o remount,rw "$disk"; } ;;
    gone) ;;
esac
"$bocr" "${arguments[@]}" >>"$out" 2>&1 || { echo "the second start ended with $?" && exit 1; }
cp -r "$disk/run" "$run"
