"""MLflow: SQLite in the run's folder, or the server that `MLFLOW_TRACKING_URI` names."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from aam.tracking.tracker import Conclusion, End, Place, Told, server_named

# Nothing is sent to MLflow's makers, and a server that is away costs a minute at most, not a quarter of an hour.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def server() -> str | None:
    """The server that is named, or None."""
    return server_named(os.environ.get("MLFLOW_TRACKING_URI"))


def open_run(place: Place) -> OnMLflow:
    """A new run, or the earlier one."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    return OnMLflow(place)


class OnMLflow:
    def __init__(self, place: Place) -> None:
        from lightning.pytorch.loggers import MLFlowLogger

        # It says that it makes what is not there.
        logging.getLogger("lightning.pytorch.loggers.mlflow").setLevel(logging.ERROR)
        named = os.environ.get("MLFLOW_TRACKING_URI")
        self._files = None if named else (place.folder / "mlflow_files").as_uri()
        self._logger = MLFlowLogger(
            os.environ.get("MLFLOW_EXPERIMENT_NAME", "aam"),
            place.name,
            named or f"sqlite:///{place.folder / 'mlflow.db'}",
            # Else the path of the program.
            tags={"mlflow.source.name": place.command},
            artifact_location=self._files,
            run_id=place.run,
        )
        self.run = str(self._logger.run_id)
        self._logger.experiment.update_run(self.run, status="RUNNING")

    def options(self, told: Mapping[str, Told]) -> None:
        # A value that was told stays as it is, and those that a resumed run may change are refused.
        known = self._logger.experiment.get_run(self.run).data.params
        self._logger.log_hyperparams({name: value for name, value in told.items() if name not in known})

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics({_name(name): value for name, value in values.items()}, step)

    def conclude(self, conclusion: Conclusion) -> None:
        client = self._logger.experiment
        self.metrics(conclusion.figures, 0)
        for fold, scores in enumerate(conclusion.folds, start=1):
            self.metrics(scores, fold)
        for name, text in conclusion.texts.items():
            client.set_tag(self.run, name, text)
        held = client.get_run(self.run).info.artifact_uri
        if self._files and not held.startswith(self._files):
            raise RuntimeError(f"the run's folder was moved: its files would go to {held}")
        for path in conclusion.pictures:
            client.log_artifact(self.run, str(path), "plots")
        for name, folder in conclusion.models.items():
            client.log_artifacts(self.run, str(folder), name)

    def end(self, how: End) -> None:
        self._logger.finalize(how)


def _name(metric: str) -> str:
    """As MLflow takes names."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_/. -") else "_" for letter in metric)
