# How commands get to the other hosts of a PBS job, and the environment with them. Part of scripts/pbs-job.
# shellcheck shell=bash

# In words; and options of mpirun that carry the environment of this host to the others.
way='' carrying=()

choose_way() {
    local tmrsh=$project/scripts/lib/tmrsh-agent
    inspect_mpirun
    if "$tmrsh" --find >/dev/null; then probe=("$tmrsh"); else tmrsh=''; fi
    if [[ ${#hosts[@]} -eq 1 ]] && is_this_host "${hosts[0]}"; then
        way="mpirun on this host alone"
    elif $pbs_starts; then
        way="mpirun's own support of PBS"
    elif [[ -n $tmrsh ]]; then
        [[ $tmrsh != *' '* ]] || fail "$project: mpirun splits the path of its agent at blanks; use a folder without them"
        agent=$tmrsh
        way="pbs_tmrsh"
    elif command -v ssh >/dev/null; then
        way="ssh, as there is no pbs_tmrsh"
        # PBS kills nothing that was started through it.
        say "ssh starts the ranks: PBS neither counts nor kills what they do on other hosts"
    else
        fail "no way to the other hosts: mpirun has no support of PBS, and there is neither pbs_tmrsh nor ssh; ask the site for one"
    fi
}

# A remote command begins with PATH=/bin:/usr/bin and PBS's variables (pbs_tmrsh), or a login's (ssh): what the job's
# set-up lines have exported holds here only. Where mpirun knows PBS, it carries all itself.
choose_carried() {
    local names=() name
    if [[ -z $agent && $way != ssh* ]]; then return; fi
    mapfile -t names < <(compgen -e | grep -vE "$OF_ONE_HOST")
    case $family in
        open-mpi) for name in "${names[@]}"; do carrying+=(-x "$name"); done ;;
        hydra) carrying=(-genvlist "$(IFS=, && echo "${names[*]},BOCR_JOB")") ;;
    esac
}

# Names of variables whose value is true on one host, or of one process, only. TMPDIR of PBS is made on each host, and
# known to what PBS starts there; the cgroups hook tells each host its own GPUs.
readonly OF_ONE_HOST='^(TMPDIR|PBS_(NODENUM|TASKNUM|MOMPORT|JOBCOOKIE|NODEFILE|ENVIRONMENT)|NCPUS|OMP_NUM_THREADS|(CUDA|HIP|ROCR|NVIDIA)_VISIBLE_DEVICES|GPU_DEVICE_ORDINAL|HOST|HOSTNAME|PWD|OLDPWD|SHLVL|_|TERM|DISPLAY|XDG_.*|DBUS_.*|SSH_.*|(OMPI|PMIX|PMI|PRTE|ORTE|OPAL|HYD|MPIEXEC|SLURM)_.*)$'
