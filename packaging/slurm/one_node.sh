#!/bin/bash
#SBATCH --job-name=aam
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=12:00:00
# Pre-empted or out of time: SLURM signals two minutes before the end, AAM takes its step to the end, saves, and exits with 138.
#SBATCH --requeue
#SBATCH --signal=USR1@120
#SBATCH --open-mode=append

# --resume starts where there is no checkpoint yet, so that every start of the job is the same command.
srun --kill-on-bad-exit=1 aam pretrain --table table.biom --tree tree.nwk --output-dir pretrained --resume
code=$?

# 138: it was asked to stop, and saved. A job that is pre-empted is requeued by SLURM; one that ran out of time by this line.
if [ "$code" -eq 138 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
