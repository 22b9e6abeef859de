#!/bin/bash
#SBATCH --job-name=aam-evaluate
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

# One process with the cores that SLURM allots. Folds that are done are not done again after a requeue.
exec aam evaluate --table table.biom --metadata metadata.tsv --metadata-column age --group-column subject \
    --output-dir age-evaluated --resume
