# Environments of vLLM: made from pinned packages, checked, and never anybody else's. Part of scripts/env-chandra and
# scripts/env-deepseek.
# shellcheck shell=bash

# Of a made folder:
#   bocr-environment  says that it was made here, from which requirement file, and whether it is complete
#   env/              the environment of Conda or venv
#   activate          what a job sources
#   prompts/          Chandra's own prompt

readonly INCOMPLETE=1 WRONG_USAGE=2 NOT_USABLE=3
readonly MARKER=bocr-environment
# Of `flock`: another process holds the lock.
readonly LOCKED=75
# Space that an environment takes, its packages once more included, as a multiple of what is downloaded.
readonly SPACE_FACTOR=4

common_usage() {
    cat <<'END'

  --prefix DIR             its folder (default: one below $BOCR_ENVIRONMENTS, else ~/.local/share/bocr/environments)
  --tool conda|mamba|venv  what makes it (default: conda where it is on the PATH or a module, else venv)
  --python X               venv: the interpreter; conda, mamba: the version of Python (default: 3.11)
  --wheels DIR             no network: the packages come from DIR (the command that fills it is printed by --dry-run)
  --check                  only look whether the environment is complete and can serve the model
  --dry-run                print what would be done, and do nothing

Nothing is done when the environment is there; an interrupted one is finished; a folder that was not made here is never
touched. It needs x86_64, no GPU, and network unless --wheels is given: on a cluster run it on the login node.
Exit codes: 0 made or there; 1 it could not be made; 2 wrong usage, or a folder that is not ours; 3 made, but not usable.
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
        [[ $# -ge 2 && -n $2 ]] || fail "$option: wrong, or its value is missing (see --help)"
        case $option in
            --version) [[ -n ${version:-} ]] || fail "unknown option $option (see --help)"; version=$2 ;;
            --prefix) prefix=$2 ;;
            --tool) tool=$2 ;;
            --python) python=$2 ;;
            --wheels) wheels=$2 ;;
            *) fail "unknown option $option (see --help)" ;;
        esac
        shift 2
    done
    [[ -z $tool || $tool =~ ^(conda|mamba|venv)$ ]] || fail "--tool is conda, mamba or venv, not \`$tool\`"
    [[ -z $wheels || -d $wheels ]] || fail "--wheels: no folder $wheels"
}

# A field of the head of the requirement file, e.g. `python`.
head_field() {
    sed -n "s/^# $1: //p" "$requirements"
}

# Makes, or checks, the environment NAME that serves the model class ARCHITECTURE, for ENGINE with the profile PROFILE.
make_environment() {
    name=$1 architecture=$2 engine=$3 profile=$4
    requirements=$project/scripts/environments/$name.txt
    hash=$(sha256sum "$requirements" | cut -d' ' -f1)
    prefix=${prefix:-${BOCR_ENVIRONMENTS:-$HOME/.local/share/bocr/environments}/$name}
    prefix=$(realpath -ms "$prefix")
    # It goes into TOML, bash and the first lines of scripts, none of which should have to quote it.
    [[ $prefix =~ ^[A-Za-z0-9/._+@=,-]+$ ]] || fail "--prefix: only letters, digits and /._+@=,- please, not \`$prefix\`"
    require_ours
    if $check; then
        [[ $(marker_field state) == complete ]] || give_up "no complete environment in $prefix; run this without --check"
        check_environment
        return
    fi
    if [[ $(marker_field state) == complete ]]; then
        say "$prefix is complete: nothing to do (--check looks whether it works)"
        print_job_file_lines
        return
    fi
    choose_tool
    if $dry_run; then print_plan && return; fi
    require_machine
    create
    check_environment
    write_marker complete
    print_job_file_lines
}

marker_field() {
    [[ ! -f $prefix/$MARKER ]] || sed -n "s/^$1 = //p" "$prefix/$MARKER"
}

write_marker() {
    printf '%s\n' "# Made by scripts/$program of bocr, which may finish it; delete the folder to make another." \
        "requirements = $name.txt" "sha256 = $hash" "tool = ${tool:-$(marker_field tool)}" "state = $1" >"$prefix/$MARKER.new"
    mv "$prefix/$MARKER.new" "$prefix/$MARKER"
}

# A folder that was not made here, or from other packages, may be in use by somebody: it is left alone.
require_ours() {
    if [[ ! -e $prefix || -d $prefix && -z $(ls -A "$prefix") ]]; then return; fi
    [[ -f $prefix/$MARKER ]] \
        || fail "$prefix was not made by this script and is left alone: give another folder with --prefix"
    [[ $(marker_field sha256) == "$hash" ]] \
        || fail "$prefix was made from another $(marker_field requirements) than today's $name.txt and is left alone:" \
            "give another folder with --prefix, or delete it (rm -r) when no job uses it"
}

# Conda may be a module only; `module` is a function of login shells.
load_conda() {
    local module
    ! command -v conda >/dev/null || return 0
    if ! declare -F module >/dev/null && [[ -r ${MODULESHOME:-}/init/bash ]]; then
        # shellcheck disable=SC1091 # the site's
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
    [[ $tool == "${begun:-$tool}" ]] || fail "$prefix was begun with $begun: leave --tool out, or delete it (rm -r) first"
    # Conda itself would want network for Python.
    if [[ -z $tool && -n $wheels ]]; then tool=venv; fi
    if [[ -z $tool || $tool == conda ]]; then
        if load_conda; then tool=conda; else [[ $tool != conda ]] || fail "no conda on the PATH, and no module of it: use --tool venv"; fi
    fi
    if [[ ${tool:=venv} == mamba ]] && ! command -v mamba >/dev/null; then fail "no mamba on the PATH"; fi
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
            || fail "--python $python is no Python of $(head_field python) with its venv module, for which the packages are pinned"
        return
    fi
    for candidate in python3.11 python3.12 python3.10 python3; do
        if pinned_for "$(python_version "$candidate")"; then python=$(command -v "$candidate") && return; fi
    done
    fail "no Python of $(head_field python) with its venv module: name one with --python, or load a module of Conda"
}

choose_version() {
    python=${python:-3.11}
    pinned_for "$python" || fail "--python $python: the packages are pinned for $(head_field python)"
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

# The command with which a machine with network fills a folder for --wheels.
download_command() {
    local with=$python
    [[ $tool == venv ]] || with=python$python
    echo "$with -m pip download --no-deps --require-hashes --only-binary :all: -r $requirements -d DIR"
}

print_plan() {
    set_base_command
    set_pip_options
    cat <<END
# into $prefix, $(head_field download) to download and up to $(needed_gigabytes) GB on the disk in all:
${base_command[*]}
$prefix/env/bin/python -m pip install ${pip_options[*]}
# without network here: on a machine that has it (and Python of the same version)
$(download_command)
# then here: scripts/$program … --wheels DIR
END
}

needed_gigabytes() {
    head_field download | awk -v factor="$SPACE_FACTOR" '{printf "%d", $1 * factor + 0.5}'
}

require_machine() {
    local wanted found above=$prefix free
    [[ $(uname -sm) == "Linux x86_64" ]] || fail "the packages are pinned for Linux on x86_64, and this is $(uname -sm)"
    wanted=$(head_field glibc) found=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n1) == "$wanted" ]] \
        || fail "vLLM's packages need glibc $wanted, and this system has $found: use a container (server.prefix in the job file)"
    while [[ ! -d $above ]]; do above=$(dirname "$above"); done
    free=$(df -P -B1000000000 "$above" | awk 'END {print $4}')
    [[ $free -ge $(needed_gigabytes) ]] \
        || give_up "$above has $free GB free and $(needed_gigabytes) GB are needed: give another folder with --prefix"
}

# One creation at a time; the lock ends with the process.
lock_folder() {
    local code=0
    exec 9>"$prefix/$MARKER.lock"
    flock --nonblock --conflict-exit-code "$LOCKED" 9 || code=$?
    [[ $code -ne $LOCKED ]] || give_up "somebody is making $prefix at this moment"
    [[ $code -eq 0 ]] || say "the file system of $prefix has no locks: start this once only"
}

create() {
    local environment=$prefix/env cache=${PIP_CACHE_DIR:-$(dirname "$prefix")/pip-cache} began=$SECONDS
    mkdir -p "$prefix"
    lock_folder
    write_marker unfinished
    # What is in ~/.local must not be seen by it, nor what a module has put there.
    export PYTHONNOUSERSITE=1
    unset PYTHONPATH PYTHONHOME
    if ! "$environment/bin/python" -m pip --version >/dev/null 2>&1; then
        rm -rf "$environment"
        set_base_command
        say "${base_command[*]}"
        "${base_command[@]}" >&2 || give_up "$tool could not make $environment (above)"
    fi
    set_pip_options
    say "installing $(grep -c '^[^# ].*==' "$requirements") packages ($(head_field download) unless in $cache); see $prefix/pip.log"
    # /tmp of a login node may be small.
    mkdir -p "$prefix/tmp" "$cache"
    TMPDIR=$prefix/tmp PIP_CACHE_DIR=$cache PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 \
        "$environment/bin/python" -m pip install --quiet --progress-bar off --log "$prefix/pip.log" "${pip_options[@]}" >&2 || give_up "$(no_packages)"
    rm -rf "$prefix/tmp"
    write_activate
    say "made in $((SECONDS - began)) s, $(du -sh "$environment" | cut -f1); $cache can be deleted"
}

no_packages() {
    echo "pip could not install the packages (above); what is there is kept, and the same command goes on from it."
    echo "  Without network here: run this on the login node, or fill a folder where there is network:"
    echo "    $(download_command)"
    echo "  and give it with --wheels DIR."
}

write_activate() {
    local line="source $prefix/env/bin/activate"
    [[ $tool == venv ]] || line="source '$("$tool" info --base)/bin/activate' $prefix/env"
    printf '%s\n' "# To be sourced: the environment of scripts/$program." "unset PYTHONPATH PYTHONHOME" \
        "export PYTHONNOUSERSITE=1" "$line" >"$prefix/activate"
}

check_environment() {
    say "checking: vLLM is imported, which takes a while the first time"
    # As a job will run it.
    if ! PYTHONWARNINGS=ignore bash -c 'source "$1" && exec python "$2" "$3" "$4" "$5"' check "$prefix/activate" \
        "$project/scripts/lib/check_environment.py" "$requirements" "$architecture" "$engine" >&2; then
        say "the environment in $prefix is not usable (above)"
        exit "$NOT_USABLE"
    fi
    if [[ $engine == chandra ]]; then
        "$prefix/env/bin/python" "$project/scripts/extract-prompts" --python "$prefix/env/bin/python" \
            --output "$prefix/prompts" >&2 || exit "$NOT_USABLE"
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
