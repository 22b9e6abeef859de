"""Trials on disk, in a study of Optuna: what was tried and how it was judged, and what is tried next."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aam.disk.locks import lock
from aam.disk.places import require_place
from aam.errors import InputError, one_line
from aam.tuning.space import Knob

State = Literal["complete", "pruned", "failed"]
# The name of the study in the file, of what is kept of it and of trials; and how files of SQLite begin.
_NAME, _ABOUT, _SCORES, _REASON, _GIVEN = "aam", "aam_about", "aam_scores", "aam_reason", "aam_given"
_SQLITE = b"SQLite format 3\x00"
# Draws for a trial that is no repetition of an earlier one. With fewer trials the importance of options is chance.
_DRAWS, FEWEST = 20, 10


@dataclass(frozen=True, eq=False)
class Tried:
    """A trial that is over: the values of the options; scores: by step, of the samples judged so far, once as they are and then
    with resampled groups [1 + W]; why it failed, or ''.
    """

    state: State
    values: Mapping[str, Any]
    scores: Sequence[np.ndarray]
    seconds: float
    reason: str = ""

    @property
    def score(self) -> float:
        """Of all samples judged; NaN for a failed one."""
        return float(self.scores[-1][0]) if len(self.scores) else float("nan")

    def changed(self, base: Mapping[str, Any]) -> list[str]:
        """Names of the options that differ from those given."""
        return [name for name, value in self.values.items() if value != base[name]]


def require_optuna() -> None:
    """InputError where it is not installed."""
    if find_spec("optuna") is None:
        raise InputError("tuning needs optuna: pip install 'attention-all-microbes[tune]'")


def require_trials(path: Path) -> None:
    """InputError for a place where no trials can be kept, and for a file that holds none, known without reading it."""
    if path.is_dir():
        raise InputError(f"`storage={path}`: is a folder; name a file in it")
    require_place("storage", path.parent, path)
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) != _SQLITE:
                raise InputError(f"`storage={path}`: is no SQLite file; name another file, which need not be there")


class Trials:
    """The trials of a search in a file, of one process at a time. InputError for a file that another one has open, and for one
    that holds something else.
    """

    def __init__(self, path: Path, space: Sequence[Knob], base: Mapping[str, Any], *, higher: bool) -> None:
        require_optuna()
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.path, self.space, self.base = path, space, base
        held = path.is_file()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            lock(path, "storage", "another search is going on in it")
            storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
            names = [study.study_name for study in optuna.get_all_study_summaries(storage)]
            if held and names and _NAME not in names:
                raise InputError(f"`storage={path}`: holds studies of Optuna that are not of `aam tune`; name another file")
            self._study = optuna.create_study(
                storage=storage, study_name=_NAME, direction="maximize" if higher else "minimize", load_if_exists=True
            )
        except InputError:
            raise
        except Exception as error:
            # Of SQLite, SQLAlchemy, Alembic or Optuna.
            raise InputError(f"`storage={path}`: cannot be read as trials of Optuna: {one_line(error)}") from error
        # Those that were killed.
        for trial in self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def require(self, about: Mapping[str, str]) -> None:
        """Keep what the search is. InputError where the file holds another one."""
        there: dict[str, str] = json.loads(self._study.user_attrs.get(_ABOUT, "{}"))
        for name, value in about.items():
            if there.get(name, value) != value:
                raise InputError(
                    f"`storage={self.path}`: holds another search, with {name} {there[name]}, and not {value}; name another "
                    "file, or search the same"
                )
        self._study.set_user_attr(_ABOUT, json.dumps({**there, **about}))

    def over(self) -> list[Tried]:
        """The trials that are over, in their order; the first is of the options as they are given. Where these could not be fitted
        that trial is not among them: it is made anew.
        """
        states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        found = []
        for trial in self._study.get_trials(deepcopy=False):
            attributes = trial.user_attrs
            if trial.state.name not in states:
                continue
            # Without a reason it was killed, or was no trial.
            if trial.state.name == "FAIL" and (_REASON not in attributes or _GIVEN in attributes):
                continue
            values = {knob.name: trial.params.get(knob.name, self.base[knob.name]) for knob in self.space}
            scores = [np.array(scores) for scores in attributes.get(_SCORES, ())]
            seconds = trial.duration.total_seconds() if trial.duration else 0.0
            found.append(Tried(states[trial.state.name], values, scores, seconds, attributes.get(_REASON, "")))
        return found

    def begin(self, seed: int) -> tuple[Any, dict[str, Any]] | None:
        """A trial to make, and the values of the options in it: first those that are given. None where chance finds none that was
        not made. The same trials and the same seed give the same one.
        """
        import optuna

        over = self.over()
        for draw in range(_DRAWS):
            seeds = np.random.SeedSequence([seed, len(over), draw])
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
                self._study.sampler = optuna.samplers.TPESampler(seed=int(seeds.generate_state(1)[0]))
            if not over and not self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
                given = {knob.name: self.base[knob.name] for knob in self.space if knob.holds(self.base[knob.name])}
                self._study.enqueue_trial(given, user_attrs={_GIVEN: True})
            trial = self._study.ask()
            is_given = _GIVEN in trial.user_attrs
            values = {
                knob.name: self.base[knob.name] if is_given and not knob.holds(self.base[knob.name]) else knob.draw(trial)
                for knob in self.space
            }
            if not any(values == tried.values for tried in over):
                return trial, values
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return None

    def end(self, trial: Any, state: State, scores: Sequence[np.ndarray], reason: str = "") -> None:
        """Write down how a trial went."""
        from optuna.trial import TrialState

        trial.set_user_attr(_SCORES, [[float(f"{score:.7g}") for score in step] for step in scores])
        for step, judged in enumerate(scores):
            if np.isfinite(judged[0]):
                trial.report(float(judged[0]), step)
        if state == "failed":
            trial.set_user_attr(_REASON, reason)
            self._study.tell(trial, state=TrialState.FAIL)
        elif state == "pruned":
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, float(scores[-1][0]))

    def importance(self) -> dict[str, float]:
        """How much each option matters to the score, adding up to 1, by Optuna's PED-ANOVA; empty where trials are too few."""
        import optuna

        if sum(tried.state == "complete" for tried in self.over()) < FEWEST:
            return {}
        with warnings.catch_warnings():
            # Of options that few trials have another value of.
            warnings.filterwarnings("ignore", category=UserWarning)
            return {name: float(share) for name, share in optuna.importance.get_param_importances(self._study).items()}
