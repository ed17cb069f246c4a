#!/usr/bin/env bash
# Sweeps on a real SLURM of one node, which this script sets up on loopback and tears down.
#
# Not part of the ordinary tests. As root on Debian, with the library and its extra
# `cluster` installed for PYTHON:
#
#     apt-get install slurm-wlm slurmd slurmctld munge
#     PYTHON=.venv/bin/python tests/slurm/run.sh
#
# It ends with "SLURM: all records verified." and status 0, in about five minutes.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=$(realpath -s "${PYTHON:-python3}")
command -v slurmctld slurmd munged >/dev/null || {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm slurmd slurmctld munge >/dev/null
}
HOME_=$(mktemp -d /tmp/slurm.XXXXXX)
chmod 755 "$HOME_"
NODE=$(hostname -s)
CPUS=$(nproc)
PIDS=()

tear_down() {
  scancel --user="$(id -un)" 2>/dev/null || true
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$HOME_"
}
trap tear_down EXIT

# munge: it insists on a socket and key in folders that only its user can write.
mkdir -p "$HOME_/munge" "$HOME_/state" "$HOME_/spool"
dd if=/dev/urandom of="$HOME_/munge/key" bs=1024 count=1 status=none
chmod 400 "$HOME_/munge/key"
munged --foreground --force --key-file="$HOME_/munge/key" --socket="$HOME_/munge/socket" \
  --pid-file="$HOME_/munge/pid" --log-file="$HOME_/munge/log" --seed-file="$HOME_/munge/seed" \
  >"$HOME_/munge.out" 2>&1 &
PIDS+=($!)

cat >"$HOME_/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$NODE(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$HOME_/munge/socket
CredType=cred/munge
StateSaveLocation=$HOME_/state
SlurmdSpoolDir=$HOME_/spool
SlurmctldPidFile=$HOME_/slurmctld.pid
SlurmdPidFile=$HOME_/slurmd.pid
SlurmctldLogFile=$HOME_/slurmctld.log
SlurmdLogFile=$HOME_/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
NodeName=$NODE NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=4000 State=UNKNOWN
PartitionName=test Nodes=$NODE Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
CONF
export SLURM_CONF="$HOME_/slurm.conf"
slurmctld -D -c >"$HOME_/slurmctld.out" 2>&1 &
PIDS+=($!)
slurmd -D -c -N "$NODE" >"$HOME_/slurmd.out" 2>&1 &
PIDS+=($!)
for _ in $(seq 60); do
  [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && break
  sleep 1
done
[ "$(sinfo -h -o %t)" = idle ] || { sinfo; tail -n 20 "$HOME_"/*.log "$HOME_"/*.out; exit 1; }
sinfo

export SFC_RUNS_DIR="$HOME_/runs" SFC_DATA_DIR="$HOME_/data" SFC_PUBLISHED_DIR="$HOME_/published"
export SFC_SLURM_MEMORY=1GB SFC_SLURM_WALLTIME=00:10:00 SFC_SLURM_QUEUE=test
export DASK_JOBQUEUE__SLURM__INTERFACE=lo KERAS_BACKEND=tensorflow
cd "$HOME_"
"$PYTHON" "$HERE/sweep.py"
"$PYTHON" -c 'from sfc_lib.cli import main; main()' sweep smoke --cluster slurm --jobs 2
"$PYTHON" -c 'from sfc_lib.cli import main; main()' runs verify "$SFC_RUNS_DIR"
left=$(find "$SFC_RUNS_DIR" -maxdepth 1 -name '.*.lock' | wc -l)
[ "$left" = 0 ] || { echo "$left lock files are left"; exit 1; }
for _ in $(seq 30); do
  [ -z "$(squeue -h)" ] && break
  sleep 1
done
[ -z "$(squeue -h)" ] || { squeue; echo "jobs are left"; exit 1; }
echo "SLURM: all records verified."
