# Writes a report on the environment of a job, to explain later how a run behaved. Part of scripts/pbs-job.
# shellcheck shell=bash

readonly HOST_LIMIT=30          # seconds; limit for the description of a host

# Variables that explain a run. The report omits all others: they may be secret.
readonly SHOWN='^(PBS_(JOBID|JOBNAME|QUEUE|O_HOST|O_WORKDIR|O_QUEUE|NODEFILE|ENVIRONMENT)|BOCR_CHAIN|PATH|LD_LIBRARY_PATH|TMPDIR|NCPUS|OMP_NUM_THREADS|CUDA_[A-Z_]*|NVIDIA_VISIBLE_DEVICES|LOADEDMODULES|CONDA_(PREFIX|DEFAULT_ENV)|HF_(HOME|HUB_CACHE|HUB_OFFLINE)|OMPI_MCA_.*|UCX_.*|LANG|LC_.*)$'

# Appends to the file: PBS may run a job again under the same id.
write_report() {
    local file=$run_directory/job/environment-$PBS_JOBID.txt parts host
    parts=$(mktemp -d "$run_directory/job/.environment-XXXXXX")
    for host in "${hosts[@]}"; do describe "$host" "$parts/$host" & done
    {
        echo "job $PBS_JOBID, run $run_count, $(date -u +%FT%TZ)"
        echo "hosts: $(for host in "${hosts[@]}"; do printf '%s (%s ranks) ' "$host" "${ranks_on[$host]}"; done)"
        echo "walltime: ${limit:-none} s, $(elapsed) s of it passed"
        echo "modules: ${LOADEDMODULES:-none}"
        echo "mpirun: $mpirun, $("$mpirun" --version 2>&1 | grep -m1 -E 'Open MPI|Version')"
        echo "support of PBS in mpirun: $(if knows_pbs; then echo yes; else echo no; fi)"
        echo "ranks are started by: $way"
        echo "bocr: ${bocr:-$project/target/release/bocr}, $("${bocr:-$project/target/release/bocr}" --version 2>&1 | head -n1)"
        echo "variables (the values of http proxies are not shown):"
        compgen -e | grep -E "$SHOWN" | while read -r name; do printf '  %s=%s\n' "$name" "${!name}"; done
        compgen -e | grep -iE '_proxy$' | sed 's/^/  /;s/$/ is set/' || true
        wait
        for host in "${hosts[@]}"; do cat "$parts/$host" 2>/dev/null || printf '\nhost %s did not describe itself\n' "$host"; done
        echo
    } >>"$file"
    rm -rf "$parts"
}

# The output of a command of pbs_tmrsh goes to the job's output. Therefore the host writes the file itself.
describe() {
    local describe=("$project/scripts/lib/describe-host" "$2")
    if is_this_host "$1"; then
        timeout "$HOST_LIMIT" "${describe[@]}"
    elif [[ ${#probe[@]} -gt 0 ]]; then
        timeout -k 1 "$HOST_LIMIT" "${probe[@]}" "$1" "$(printf '%q ' "${describe[@]}")" >/dev/null 2>&1
    fi || true
}
