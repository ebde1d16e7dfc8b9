#!/usr/bin/env bash
# A run on a SLURM cluster, one process a GPU; what follows are flags of the program:
#
#   sbatch --nodes=2 launch/slurm.sh --experiment=mbv2_epitome --workdir=/shared/run
#
# --workdir must be on a file system that all nodes share. JAX finds the processes.
#
#SBATCH --job-name=neural_epitome
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out
# Five minutes before the time limit each process (not this script) gets SIGTERM, saves
# a checkpoint after its step and ends with 143. Compilation has to fit into that time: a
# job that reaches its limit is not requeued.
#SBATCH --signal=TERM@300
#
# Sites differ: override any of these on the command line of sbatch, and activate an
# environment first, in your shell (sbatch hands it on).
#
# All tasks of a node see all of its GPUs, and JAX takes that of its local rank: no
# --gpus-per-task, which would show each task one GPU only.
set -uo pipefail

# A process that fails tells the others itself; they may be saving.
code=0
srun --kill-on-bad-exit=0 python -m neural_epitome.main "$@" || code=$?

# 143: stopped with a checkpoint, or a peer is gone; the same command resumes. Anything
# else, 1 for a mistake of the user, is final. Nodes that fail and preemptions are
# requeued by SLURM itself; scancel ends this script, so that nothing is.
if ((code == 143 && ${SLURM_RESTART_COUNT:-0} < 100)); then
  echo "$(date --iso-8601=seconds) requeued: exit code 143"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
