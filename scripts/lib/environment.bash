# Makes and checks environments of vLLM from pinned packages. Changes no environment that it did not make. Part of
# scripts/env-chandra and scripts/env-deepseek.
# not empty where expanded: base_command pip_options
# shellcheck shell=bash

# Files of an environment's folder:
#   bocr-environment  marks the folder as made by these scripts; names the requirement file; says whether it is complete
#   env/              the environment of Conda or venv
#   activate          the file that a job sources
#   prompts/          Chandra's own prompt

readonly INCOMPLETE=1 WRONG_USAGE=2 NOT_USABLE=3
readonly MARKER=bocr-environment
# Exit code of `flock`: another process holds the lock.
readonly LOCKED=75
# Disk space of an environment, with a second copy of its packages, as a multiple of the download.
readonly SPACE_FACTOR=4

common_usage() {
    cat <<'END'

  --prefix DIR             the folder (default: one below $BOCR_ENVIRONMENTS, else ~/.local/share/bocr/environments)
  --tool conda|mamba|venv  the tool (default: conda if it is on the PATH or a module, else venv)
  --python X               venv: the interpreter; conda, mamba: the version of Python (default: 3.11)
  --wheels DIR             use no network: take the packages from DIR (--dry-run prints the command that fills DIR)
  --check                  only check whether the environment is complete and can serve the model
  --dry-run                print the commands; do nothing

If the environment is complete, the script does nothing. It finishes an interrupted environment. It never changes a folder
that it did not make. It needs x86_64 and no GPU, and network unless --wheels is given: on a cluster run it on the login node.
Exit codes: 0 made, or complete before; 1 not complete; 2 wrong usage, or a folder that this script did not make; 3 made, but
not usable.
END
}

fail() {
    echo "$program: $*" >&2
    exit "$WRONG_USAGE"
}

give_up() {
    echo "$program: $*" >&2
    exit "$INCOMPLETE"
}

say() {
    echo "$program: $*" >&2
}

prefix='' tool='' python='' wheels='' check=false dry_run=false

read_options() {
    local option
    while [[ $# -gt 0 ]]; do
        option=$1
        case $option in
            --help | -h) usage && exit ;;
            --check) check=true && shift && continue ;;
            --dry-run) dry_run=true && shift && continue ;;
        esac
        [[ $# -ge 2 && -n $2 ]] || fail "$option is unknown, or its value is missing: see --help"
        case $option in
            --version) [[ -n ${version:-} ]] || fail "unknown option $option: see --help"; version=$2 ;;
            --prefix) prefix=$2 ;;
            --tool) tool=$2 ;;
            --python) python=$2 ;;
            --wheels) wheels=$2 ;;
            *) fail "unknown option $option: see --help" ;;
        esac
        shift 2
    done
    [[ -z $tool || $tool =~ ^(conda|mamba|venv)$ ]] || fail "--tool is conda, mamba or venv, not \`$tool\`"
    [[ -z $wheels || -d $wheels ]] || fail "--wheels: no folder $wheels: name the folder with the packages"
}

# A field at the top of the requirement file, e.g. `python`.
head_field() {
    sed -n "s/^# $1: //p" "$requirements"
}

# make_environment NAME ARCHITECTURE ENGINE PROFILE: makes or checks the environment NAME. It serves the model class
# ARCHITECTURE for ENGINE with the profile PROFILE.
make_environment() {
    name=$1 architecture=$2 engine=$3 profile=$4
    requirements=$project/scripts/environments/$name.txt
    hash=$(sha256sum "$requirements" | cut -d' ' -f1)
    prefix=${prefix:-${BOCR_ENVIRONMENTS:-$HOME/.local/share/bocr/environments}/$name}
    prefix=$(realpath -ms "$prefix")
    # TOML, bash and the first lines of scripts contain the path: it must need no quotes.
    [[ $prefix =~ ^[A-Za-z0-9/._+@=,-]+$ ]] || fail "--prefix: only letters, digits and /._+@=,- are allowed, not \`$prefix\`: name another folder"
    require_ours
    if $check; then
        [[ $(marker_field state) == complete ]] || give_up "no complete environment in $prefix: run scripts/$program without --check"
        check_environment
        return
    fi
    if [[ $(marker_field state) == complete ]]; then
        say "$prefix is complete: nothing to do (--check tests it)"
        compile_hopper_kernel
        print_job_file_lines
        return
    fi
    choose_tool
    if $dry_run; then print_plan && return; fi
    require_machine
    create
    check_environment
    write_marker complete
    compile_hopper_kernel
    print_job_file_lines
}

marker_field() {
    [[ ! -f $prefix/$MARKER ]] || sed -n "s/^$1 = //p" "$prefix/$MARKER"
}

write_marker() {
    printf '%s\n' "# Made by scripts/$program of bocr. A second call finishes it; to make it again, delete the folder." \
        "requirements = $name.txt" "sha256 = $hash" "tool = ${tool:-$(marker_field tool)}" "state = $1" >"$prefix/$MARKER.new"
    mv "$prefix/$MARKER.new" "$prefix/$MARKER"
}

# Refuses a folder that this script did not make, or made from other packages: a job or another user may use it.
require_ours() {
    if [[ ! -e $prefix || -d $prefix && -z $(ls -A "$prefix") ]]; then return; fi
    [[ -f $prefix/$MARKER ]] \
        || fail "$prefix was not made by this script and is left alone: name another folder with --prefix"
    [[ $(marker_field sha256) == "$hash" ]] \
        || fail "$prefix was made from another $(marker_field requirements) than the present $name.txt and is left alone:" \
            "name another folder with --prefix, or delete $prefix (rm -r) when no job uses it"
}

# Conda may be available as a module only. `module` is a function of login shells.
load_conda() {
    local module
    ! command -v conda >/dev/null || return 0
    if ! declare -F module >/dev/null && [[ -r ${MODULESHOME:-}/init/bash ]]; then
        # shellcheck disable=SC1091 # a file of the site
        source "$MODULESHOME/init/bash"
    fi
    declare -F module >/dev/null || return
    module=$(module -t avail 2>&1 | grep -iE '^(anaconda|miniconda|miniforge|mambaforge|conda)' | tail -n1) || return
    say "loading module $module"
    module load "${module%(default)}" && command -v conda >/dev/null
}

choose_tool() {
    local begun
    begun=$(marker_field tool)
    tool=${tool:-$begun}
    [[ $tool == "${begun:-$tool}" ]] || fail "$prefix was begun with $begun: leave --tool out, or delete $prefix (rm -r) first"
    # Conda needs network to install Python.
    if [[ -z $tool && -n $wheels ]]; then tool=venv; fi
    if [[ -z $tool || $tool == conda ]]; then
        if load_conda; then tool=conda; else [[ $tool != conda ]] || fail "no conda on the PATH, and no module with conda: use --tool venv"; fi
    fi
    if [[ ${tool:=venv} == mamba ]] && ! command -v mamba >/dev/null; then fail "no mamba on the PATH: load its module, or use --tool venv"; fi
    if [[ $tool == venv ]]; then choose_interpreter; else choose_version; fi
}

python_version() {
    "$1" -c 'import ensurepip, sys, venv; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

# Whether the packages are pinned for this version of Python.
pinned_for() {
    [[ -n $1 && " $(head_field python) " == *" $1 "* ]]
}

choose_interpreter() {
    local candidate
    if [[ -n $python ]]; then
        pinned_for "$(python_version "$python")" \
            || fail "--python $python is no Python $(head_field python) with the venv module: the packages are pinned for these versions"
        return
    fi
    for candidate in python3.11 python3.12 python3.10 python3; do
        if pinned_for "$(python_version "$candidate")"; then python=$(command -v "$candidate") && return; fi
    done
    fail "no Python $(head_field python) with the venv module found: name one with --python, or load a module of Conda"
}

choose_version() {
    python=${python:-3.11}
    pinned_for "$python" || fail "--python $python: the packages are pinned for $(head_field python): name one of these"
}

pip_options=()
set_pip_options() {
    pip_options=(--no-deps --require-hashes --only-binary ':all:' --requirement "$requirements")
    if [[ -n $wheels ]]; then pip_options+=(--no-index --find-links "$(realpath "$wheels")"); fi
}

base_command=()
set_base_command() {
    case $tool in
        venv) base_command=("$python" -m venv "$prefix/env") ;;
        *) base_command=("$tool" create --yes --quiet --prefix "$prefix/env" "python=$python" pip) ;;
    esac
}

# The command that fills a folder for --wheels, on a machine with network.
download_command() {
    local with=$python
    [[ $tool == venv ]] || with=python$python
    echo "$with -m pip download --no-deps --require-hashes --only-binary :all: -r $requirements -d DIR"
}

print_plan() {
    set_base_command
    set_pip_options
    cat <<END
# into $prefix; downloads $(head_field download); needs up to $(needed_gigabytes) GB of disk in all:
${base_command[*]}
$prefix/env/bin/python -m pip install ${pip_options[*]}
# if this machine has no network: on a machine with network and the same version of Python, run
$(download_command)
# then run here: scripts/$program … --wheels DIR
END
}

needed_gigabytes() {
    head_field download | awk -v factor="$SPACE_FACTOR" '{printf "%d", $1 * factor + 0.5}'
}

require_machine() {
    local wanted found above=$prefix free
    [[ $(uname -sm) == "Linux x86_64" ]] || fail "the packages are pinned for Linux on x86_64, and this machine is $(uname -sm): use another machine"
    wanted=$(head_field glibc) found=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n1) == "$wanted" ]] \
        || fail "vLLM's packages need glibc $wanted, and this system has $found: serve the model from a container (\`prefix\` of [engines.X.server] in the job file)"
    while [[ ! -d $above ]]; do above=$(dirname "$above"); done
    free=$(df -P -B1000000000 "$above" | awk 'END {print $4}')
    [[ $free -ge $(needed_gigabytes) ]] \
        || give_up "$above has $free GB free and $(needed_gigabytes) GB are needed: name another folder with --prefix"
}

# Prevents two processes from making the same environment. The lock ends with the process.
lock_folder() {
    local code=0
    exec 9>"$prefix/$MARKER.lock"
    flock --nonblock --conflict-exit-code "$LOCKED" 9 || code=$?
    [[ $code -ne $LOCKED ]] || give_up "another process is making $prefix now: wait until it ends"
    [[ $code -eq 0 ]] || say "the file system of $prefix has no locks: do not start scripts/$program twice at the same time"
}

create() {
    local environment=$prefix/env cache=${PIP_CACHE_DIR:-$(dirname "$prefix")/pip-cache} began=$SECONDS
    mkdir -p "$prefix"
    lock_folder
    write_marker unfinished
    # Python must not import packages of ~/.local, or packages that a module added.
    export PYTHONNOUSERSITE=1
    unset PYTHONPATH PYTHONHOME
    if ! "$environment/bin/python" -m pip --version >/dev/null 2>&1; then
        rm -rf "$environment"
        set_base_command
        say "${base_command[*]}"
        "${base_command[@]}" >&2 || give_up "$tool could not make $environment: see the output above"
    fi
    set_pip_options
    say "installing $(grep -c '^[^# ].*==' "$requirements") packages ($(head_field download) unless in $cache); see $prefix/pip.log"
    # /tmp of a login node may be too small.
    mkdir -p "$prefix/tmp" "$cache"
    TMPDIR=$prefix/tmp PIP_CACHE_DIR=$cache PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 \
        "$environment/bin/python" -m pip install --quiet --progress-bar off --log "$prefix/pip.log" "${pip_options[@]}" >&2 || give_up "$(no_packages)"
    rm -rf "$prefix/tmp"
    write_activate
    say "made in $((SECONDS - began)) s, $(du -sh "$environment" | cut -f1); $cache can be deleted"
}

no_packages() {
    echo "pip could not install the packages (see above). The packages so far are kept; the same command continues."
    echo "  If this machine has no network, run the command on the login node; or fill a folder on a machine with network:"
    echo "    $(download_command)"
    echo "  and name the folder with --wheels DIR."
}

write_activate() {
    local line="source $prefix/env/bin/activate"
    [[ $tool == venv ]] || line="source '$("$tool" info --base)/bin/activate' $prefix/env"
    printf '%s\n' "# Source this file to use the environment of scripts/$program." "unset PYTHONPATH PYTHONHOME" \
        "export PYTHONNOUSERSITE=1" "$line" >"$prefix/activate"
}

check_environment() {
    say "checking the environment: the first import of vLLM takes some time"
    # Runs the check as a job will run the server.
    if ! PYTHONWARNINGS=ignore bash -c 'source "$1" && exec python "$2" "$3" "$4" "$5"' check "$prefix/activate" \
        "$project/scripts/lib/check_environment.py" "$requirements" "$architecture" "$engine" >&2; then
        say "the environment in $prefix is not usable: see the reason above"
        exit "$NOT_USABLE"
    fi
    if [[ $engine == chandra ]]; then
        "$prefix/env/bin/python" "$project/scripts/extract-prompts" --python "$prefix/env/bin/python" \
            --output "$prefix/prompts" >&2 || exit "$NOT_USABLE"
    fi
}

# vLLM 0.17 takes a kernel of FlashInfer on Hopper GPUs, which nvcc compiles at the first page unless it is in the cache:
# 32 files of some 150 s and 6.5 GB each (docs/facts/vllm.md, "FlashInfer").
compile_hopper_kernel() {
    local jobs memory_jobs
    local -r compile='from flashinfer.jit.gdn import gen_gdn_prefill_sm90_module as kernel; kernel().build(verbose=False)'
    [[ $name == chandra-2 ]] || return 0
    if ! command -v nvcc >/dev/null; then
        say "no nvcc here, so a kernel for Hopper GPUs (H100, H200) is not compiled: the first server on such a GPU does that for" \
            "minutes and needs nvcc on its node. To do it now, load a module of CUDA and run scripts/$program again"
        return
    fi
    memory_jobs=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 7000000))
    jobs=$(nproc)
    if [[ $memory_jobs -lt $jobs ]]; then jobs=$memory_jobs; fi
    say "compiling a kernel for Hopper GPUs into ${FLASHINFER_WORKSPACE_BASE:-$HOME}/.cache/flashinfer: some 80 minutes of CPU time on" \
        "$((jobs > 0 ? jobs : 1)) cores, nothing if it is there"
    if ! FLASHINFER_CUDA_ARCH_LIST=9.0a MAX_JOBS=$((jobs > 0 ? jobs : 1)) \
        bash -c 'source "$1" && exec python -c "$2"' compile "$prefix/activate" "$compile" >&2; then
        say "the kernel was not compiled: the first server on a Hopper GPU will do it"
    fi
}

print_job_file_lines() {
    local prompt
    echo "[engines.$engine]"
    echo "profile = \"$profile\""
    for prompt in "$prefix"/prompts/*.txt; do
        [[ ! -e $prompt ]] || echo "prompt_file = \"$prompt\""
    done
    echo
    echo "[engines.$engine.server]"
    echo 'kind = "launch"'
    echo "activate = \"source $prefix/activate\""
}
