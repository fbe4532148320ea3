# Functions for scripts that compare bocr with the `chandra` command line 0.2.0 on a stand-in. The script must set `project`.

readonly PYTHON=${project:?}/.deps/chandra/bin/python PACKAGE=chandra-ocr==0.2.0 BOCR=${BOCR:-$project/target/release/bocr}

# `work` is a working folder, `server` the process of `start_stand_in`. The end of the script removes and ends them.
work=$(mktemp -d)
server=
trap 'if [[ -n $server ]]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$work"' EXIT

install_chandra() {
    [[ -x ${PYTHON%/*}/chandra ]] && return
    (cd "$project" && python3 -m venv .deps/chandra)
    "$PYTHON" -m pip install -q --disable-pip-version-check --only-binary=:all: "$PACKAGE"
}

# Copies every document into one folder, each under its own name: the `chandra` command does not search subfolders.
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
        echo "measure: no PDF file in $*: name a folder with PDF files" >&2
        exit 2
    }
}

pages_in() {
    "$PYTHON" - "$1"/*.pdf <<'END'
import sys, pypdfium2
print(sum(len(pypdfium2.PdfDocument(path)) for path in sys.argv[1:]))
END
}

# Starts a synthetic stand-in of Chandra with these arguments, and sets `url` to its address.
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
            sys.exit(f"measure: {sys.argv[1]} did not answer within 20 s: check that the server runs")
        time.sleep(0.05)
END
}

# measured LOG RESULT COMMAND…: writes CPU and wall seconds of the command and its children to RESULT. Exit code 3 (some
# pages failed) counts as success.
measured() {
    local log=$1 result=$2 code=0
    shift 2
    python3 "$project/scripts/lib/cpu_seconds.py" "$result" "$@" >"$log" 2>&1 || code=$?
    [[ $code -eq 0 || $code -eq 3 ]] || {
        echo "measure: \`$*\` ended with code $code; the end of its log:" >&2
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
