# Functions for scripts that run bocr and the `chandra` command line 0.2.0 side by side against a stand-in. Wants `project`.

readonly PYTHON=${project:?}/.deps/chandra/bin/python PACKAGE=chandra-ocr==0.2.0 BOCR=${BOCR:-$project/target/release/bocr}

# A working folder in `work` and the stand-in of `start_stand_in` in `server`, which end with the script.
work=$(mktemp -d)
server=
trap 'if [[ -n $server ]]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$work"' EXIT

install_chandra() {
    [[ -x ${PYTHON%/*}/chandra ]] && return
    (cd "$project" && python3 -m venv .deps/chandra)
    "$PYTHON" -m pip install -q --disable-pip-version-check --only-binary=:all: "$PACKAGE"
}

# Every document under a name of its own in one folder, as the `chandra` command does not look into folders.
gather() {
    local target=$1 copies=$2 copy file number=0
    shift 2
    mkdir "$target"
    while IFS= read -r -d '' file; do
        for ((copy = 0; copy < copies; copy++)); do
            cp "$file" "$(printf '%s/%04d-%02d.pdf' "$target" "$number" "$copy")"
        done
        number=$((number + 1))
    done < <(find -L "$@" -type f -iname '*.pdf' -print0 | sort -z)
    [[ $number -gt 0 ]] || {
        echo "measure: no PDF in $*" >&2
        exit 2
    }
}

pages_in() {
    "$PYTHON" - "$1"/*.pdf <<'END'
import sys, pypdfium2
print(sum(len(pypdfium2.PdfDocument(path)) for path in sys.argv[1:]))
END
}

# Starts a synthetic stand-in of Chandra with these arguments, and puts its address into `url`.
start_stand_in() {
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    url=http://127.0.0.1:$port
    "$BOCR" stand-in --speak chandra --mode synthetic --port "$port" "$@" >"$work/server.log" 2>&1 &
    server=$!
    await_health "$url"
}

stop_stand_in() {
    kill "$server"
    wait "$server" || true
    server=
}

await_health() {
    python3 - "$1/health" <<'END'
import sys, time, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
deadline = time.monotonic() + 20
while True:
    try:
        opener.open(sys.argv[1], timeout=5)
        break
    except OSError:
        if time.monotonic() > deadline:
            sys.exit(f"measure: no answer from {sys.argv[1]}")
        time.sleep(0.05)
END
}

# measured LOG RESULT COMMAND…: CPU and wall seconds of the command and its children into RESULT. Exit code 3, some
# pages failed, is a result too.
measured() {
    local log=$1 result=$2 code=0
    shift 2
    python3 "$project/scripts/lib/cpu_seconds.py" "$result" "$@" >"$log" 2>&1 || code=$?
    [[ $code -eq 0 || $code -eq 3 ]] || {
        echo "measure: failed: $*" >&2
        tail -n 20 "$log" >&2
        exit 1
    }
}

run_bocr() {
    measured "$work/bocr.log" "$work/bocr.cost" "$BOCR" run --input "$work/pages" --output "$work/run" --roles chandra \
        --chandra-url "$url"
}

run_chandra() {
    measured "$work/chandra.log" "$work/chandra.cost" env -u HTTP_PROXY -u http_proxy VLLM_API_BASE="$url/v1" \
        "${PYTHON%/*}/chandra" --method vllm "$work/pages" "$work/chandra"
}
