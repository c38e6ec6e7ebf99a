#!/usr/bin/env bash
# A training on SLURM that outlives its time limit, preemption and lost machines. Adapt the lines that begin with #SBATCH
# and the last options; docs/scaling.md says why each is there.
#   sbatch scripts/slurm.sh rie_stage1.yaml runs/rie_stage1
#SBATCH --job-name=liftpose
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gres=gpu:4
#SBATCH --cpus-per-task=4
#SBATCH --time=08:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=liftpose-%j.log

config=${1:?the name of a configuration}
folder=${2:?the folder of the run}

srun liftpose fit --config "$config" --trainer.default_root_dir "$folder" --ckpt_path last \
  --trainer.num_nodes "$SLURM_NNODES" --trainer.devices "$SLURM_NTASKS_PER_NODE" --trainer.strategy ddp \
  --trainer.enable_progress_bar false "${@:3}"
code=$?
if [ "$code" -eq 143 ]; then # told to stop, and saved
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
