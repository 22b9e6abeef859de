#!/bin/bash
#SBATCH --job-name=aam-2x4
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=USR1@180
#SBATCH --open-mode=append

# One task for each GPU. All nodes must see the output folder; the first process writes. 8 processes of 32 samples take the step of
# one process of 256. The cache and temporary files are better on a disk of the node.
export XDG_CACHE_HOME="${TMPDIR:-/tmp}/aam-cache"

srun --kill-on-bad-exit=1 aam pretrain --table table.biom --tree tree.nwk --batch-size 32 --output-dir pretrained-2x4 --resume
code=$?

if [ "$code" -eq 138 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
