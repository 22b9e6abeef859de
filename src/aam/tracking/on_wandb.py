"""Weights & Biases: offline files in the run's folder, for `wandb sync`; or the server that its environment variables name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

from aam.tracking.tracker import Conclusion, End, Place, Told, server_named

_ONLINE = ("online", "run", "shared")
_SECONDS = 60


def server() -> str | None:
    """The server that is named, by `WANDB_BASE_URL` or by asking for `WANDB_MODE=online`; else None."""
    mode, url = os.environ.get("WANDB_MODE"), os.environ.get("WANDB_BASE_URL")
    if mode in _ONLINE or (url and not mode):
        return server_named(url or "https://api.wandb.ai")
    return None


def open_run(place: Place) -> OnWandb:
    """A new run, or the earlier one."""
    # Without these it keeps logs and the files of artifacts in the user's home, and reports its own errors.
    for name, value in {
        "WANDB_DATA_DIR": str(place.folder / "wandb"),
        "WANDB_CACHE_DIR": str(place.folder / "wandb"),
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
    }.items():
        os.environ.setdefault(name, value)
    return OnWandb(place)


class OnWandb:
    def __init__(self, place: Place) -> None:
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        self.run = place.run or secrets.token_hex(4)
        # No output of the terminal, no arguments, no code, no list of packages: the first two may have ids of samples.
        settings = wandb.Settings(
            console="off",
            silent=True,
            disable_code=True,
            disable_git=True,
            save_code=False,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_disable_stats=True,
            x_save_requirements=False,
            init_timeout=_SECONDS / 3,
            finish_timeout=_SECONDS,
            finish_timeout_raises=True,
            program=place.command,
        )
        # Not by Lightning's logger: that gives an option of which every run is warned.
        self._run: Any = wandb.init(
            name=place.name,
            dir=place.folder,
            id=self.run,
            resume="allow",
            project=os.environ.get("WANDB_PROJECT", "aam"),
            mode=os.environ.get("WANDB_MODE") or ("online" if server() else "offline"),
            job_type=place.command,
            settings=settings,
        )
        self._run.define_metric("trainer/global_step")
        self._run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        self._run.define_metric("fold/*", step_metric="fold/number")
        self._logger = WandbLogger(experiment=self._run)

    def options(self, told: Mapping[str, Told]) -> None:
        self._logger.log_hyperparams(dict(told))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(values, step)

    def conclude(self, conclusion: Conclusion) -> None:
        import wandb

        self._run.summary.update({**conclusion.figures, **conclusion.texts})
        for fold, scores in enumerate(conclusion.folds, start=1):
            self._run.log({"fold/number": fold, **scores})
        for path in conclusion.pictures:
            self._logger.log_image(path.stem, [str(path)])
        for name, folder in conclusion.models.items():
            artifact = wandb.Artifact(f"{name}-{self.run}", type="model")
            artifact.add_dir(str(folder))
            self._run.log_artifact(artifact)

    def end(self, how: End) -> None:
        self._run.finish(exit_code=0 if how == "finished" else 1)
