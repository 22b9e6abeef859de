"""TensorBoard, beside the curves that every fit of a transformer writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from aam.tracking.tracker import Conclusion, End, Place, Told


def server() -> str | None:
    """There is none."""
    return None


def open_run(place: Place) -> OnTensorBoard:
    """In the folder that the curves are in, as a run of its own."""
    return OnTensorBoard(place)


class OnTensorBoard:
    def __init__(self, place: Place) -> None:
        self.run = "run"
        self._writer: Any = SummaryWriter(str(place.folder.parent / "tensorboard" / self.run))

    def options(self, told: Mapping[str, Told]) -> None:
        self._writer.add_text("options", "\n".join(f"    {name}: {value}" for name, value in told.items()))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """The fit's own logger has them."""

    def conclude(self, conclusion: Conclusion) -> None:
        import numpy as np
        from PIL import Image

        for name, value in conclusion.figures.items():
            self._writer.add_scalar(name, value, 0)
        for fold, scores in enumerate(conclusion.folds, start=1):
            for name, value in scores.items():
                self._writer.add_scalar(name, value, fold)
        for name, text in conclusion.texts.items():
            self._writer.add_text(name, text)
        for path in conclusion.pictures:
            self._writer.add_image(path.stem, np.asarray(Image.open(path).convert("RGB")), dataformats="HWC")

    def end(self, how: End) -> None:
        self._writer.close()
