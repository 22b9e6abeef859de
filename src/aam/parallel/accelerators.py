"""Whether this machine may have a GPU, known without loading PyTorch, which takes a second."""

from __future__ import annotations

import shutil
from pathlib import Path

# What a driver makes: of NVIDIA, of AMD, and of Windows for its Linux.
_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def may_have_gpu() -> bool:
    """Whether the driver of a GPU that PyTorch could use is there; False is sure."""
    return any(Path(device).exists() for device in _DEVICES) or shutil.which("nvidia-smi") is not None
