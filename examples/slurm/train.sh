#!/usr/bin/env bash
# One training on several machines under SLURM, which goes on after its time limit and after a failed machine.
#
#   sbatch examples/slurm/train.sh --config paper/stylegan_ffhq256.yaml --name ffhq
#
# All arguments go to `fit`. To change: the numbers below, the partition and account of your cluster (sbatch --partition ...),
# the line that activates your environment, and FRAGMENT=hardware/fsdp2.yaml for networks that do not fit on one GPU.
# Batch sizes are global: 16 GPUs share them, and results do not depend on the number of GPUs.
#
#SBATCH --job-name=lightning_gan
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=USR1@120
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

if [ -z "${SLURM_JOB_NUM_NODES:-}" ]; then
  echo "$0: submit this file with sbatch; it takes its numbers of machines and GPUs from SLURM" >&2
  exit 2
fi

# ENVIRONMENT=/path/to/venv sbatch ... activates a virtual environment on every machine.
if [ -n "${ENVIRONMENT:-}" ]; then
  # shellcheck disable=SC1091
  source "$ENVIRONMENT/bin/activate"
fi

# SLURM starts a process for each GPU, and Lightning reads from the environment which one it is. --resume begins the run,
# or continues it from its newest whole checkpoint. Two minutes before the time limit SLURM sends USR1 to all processes:
# they finish the batch, save, and ask SLURM to queue the job again.
exec srun lightning-gan fit "$@" \
  --config "${FRAGMENT:-hardware/ddp.yaml}" \
  --trainer.num_nodes "$SLURM_JOB_NUM_NODES" \
  --trainer.devices "${SLURM_NTASKS_PER_NODE:-auto}" \
  --resume
