#!/bin/sh
# Installs AAM into /opt/aam, from the source in /src: what the Docker image and the Apptainer image share. No compiler is needed.
# TORCH, TORCH_INDEX: which PyTorch, and the index that has it. EXTRAS: extras of AAM.
set -eu
: "${TORCH:=torch==2.13.0}" "${TORCH_INDEX:=https://download.pytorch.org/whl/cpu}" "${EXTRAS:=tree,explain,tune}"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
python3 -m venv /opt/aam
/opt/aam/bin/pip install --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple "$TORCH"
# The torch that was chosen stays.
grep -v '^torch==' /src/constraints.txt > /tmp/constraints.txt
/opt/aam/bin/pip install --constraint /tmp/constraints.txt "/src[$EXTRAS]"
rm /tmp/constraints.txt
/opt/aam/bin/aam --version
