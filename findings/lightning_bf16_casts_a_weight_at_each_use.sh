#!/usr/bin/env bash
# Lightning 2.6.6 with precision="bf16-mixed" turns off the cache of torch.autocast (its plugin makes the context with
# cache_enabled=False). PyTorch's own default casts a weight once for a whole forward pass, however often it is used; under Lightning a
# layer that is called ten times in a step - a shared encoder, a recurrent cell, a model that is run on its input in chunks - has its
# weight cast ten times forward, and as many gradients cast back. Losses are the same; on a GPU every cast is a kernel, and a model of
# many small calls is slower in bf16 than in fp32.
# Seen, casts of the 64 x 64 weight in one forward pass of ten calls: "torch.autocast: 1", "Lightning bf16-mixed: 10". This script
# fails when that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" --quiet --disable-pip-version-check install torch==2.13.0 lightning==2.6.6 numpy
cat > "$work/casts.py" <<'PY'
import logging
import warnings

import lightning as L
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Casts(TorchDispatchMode):
    """Counts casts of what has the shape of the weight to bfloat16."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        done = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ == "_to_copy" and done.dtype == torch.bfloat16 and done.shape == (64, 64):
            self.number += 1
        return done


def called_ten_times(layer, x):
    for _ in range(10):
        x = torch.tanh(layer(x))
    return x.float().square().mean()


class Module(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.casts = torch.nn.Linear(64, 64), 0

    def training_step(self, batch, batch_idx):
        with Casts() as casts:
            loss = called_ten_times(self.layer, batch)
        self.casts = casts.number
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


data = torch.randn(8, 64)
layer = torch.nn.Linear(64, 64)
with torch.autocast("cpu", torch.bfloat16), Casts() as casts:
    called_ten_times(layer, data)
print(f"torch.autocast: {casts.number}")

module = Module()
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
L.Trainer(max_steps=1, accelerator="cpu", precision="bf16-mixed", **quiet).fit(module, DataLoader(data, batch_size=8))
print(f"Lightning bf16-mixed: {module.casts}")
PY
said=$(cd "$work" && "$work/env/bin/python" casts.py 2>/dev/null)
echo "$said"
[ "$said" = "torch.autocast: 1
Lightning bf16-mixed: 10" ] || { echo "changed" >&2; exit 1; }
