"""A suite: questions of any tables and the models that answer them, as a YAML file names them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from aam.benchmark.estimators import Estimator
from aam.benchmark.models import KNOWN, OF_TRANSFORMERS, USUAL, needs_training
from aam.disk.places import require_file
from aam.disk.yaml_files import read_yaml
from aam.errors import InputError, first_few, path_of
from aam.options import (
    EnsembleOptions,
    EvaluateFitOptions,
    FoldOptions,
    FoldPretrainOptions,
    GroupOptions,
    ModelOptions,
    OneTargetOptions,
    Question,
    ReadOptions,
    TableOptions,
    TrainObjectives,
    TreeOptions,
    check_seed,
)

_QUESTION = (TableOptions, ReadOptions, TreeOptions, GroupOptions, OneTargetOptions, FoldOptions)
_TRANSFORMER = (ModelOptions, TrainObjectives, EvaluateFitOptions, FoldPretrainOptions)
_REFUSED = ("stream", "within_column")
_KEYS = ("title", "about", "questions", "defaults", "models", "estimators", "ensemble", "transformer", "shares", "seed")


@dataclass(frozen=True)
class Suite:
    """What a benchmark compares: questions by name, and models; `shares`: of the training groups, for learning curves, 1 the last;
    ensemble, transformer: options of AAM's recipes; title and about: text for the page.
    """

    questions: Mapping[str, Question]
    models: tuple[str, ...] = USUAL
    estimators: Mapping[str, Estimator] = field(default_factory=dict)
    shares: tuple[float, ...] = (1.0,)
    seed: int = 0
    ensemble: EnsembleOptions = field(default_factory=EnsembleOptions)
    transformer: tuple[ModelOptions, TrainObjectives, EvaluateFitOptions, FoldPretrainOptions] = field(
        default_factory=lambda: (ModelOptions(), TrainObjectives(), EvaluateFitOptions(), FoldPretrainOptions())
    )
    title: str = "Benchmark"
    about: str = ""


def read_suite(path: str | Path, folder: str | Path | None = None) -> Suite:
    """The suite of a YAML file. InputError, which names the file and the key, for what is unknown, missing or of another type.

    folder: what paths in it are relative to; by default that of the file.

    >>> from pathlib import Path
    >>> import aam
    >>> question = "{table: community/table.biom, metadata: community/metadata.tsv, metadata_column: age, group_column: subject}"
    >>> _ = Path("suite.yaml").write_text(f"questions: {{age: {question}}}")
    >>> suite = aam.read_suite("suite.yaml")
    >>> suite.questions["age"].target.metadata_column, suite.models[-1]
    ('age', 'AAM ensemble')
    """
    path = path_of("suite", path)
    given = _keys(_load(path), _KEYS, f"`suite={path}`")
    base = Path(folder or path.parent).absolute()
    models = _names(given.get("models", list(USUAL)), f"`suite={path}`: models")
    defaults = _mapping(given.get("defaults", {}), f"`suite={path}`: defaults")
    asked = _mapping(given.get("questions"), f"`suite={path}`: questions")
    if not asked:
        raise InputError(f"`suite={path}`: questions: is empty; name a question with its table, metadata and metadata_column")
    questions = {}
    for name, about in asked.items():
        where = f"`suite={path}`: questions: {name}"
        questions[str(name)] = _question({**defaults, **_mapping(about, where)}, base, where, needs_training(models))
    estimators = {
        str(name): Estimator.of(str(name), about, f"`suite={path}`: estimators: {name}")
        for name, about in _mapping(given.get("estimators", {}), f"`suite={path}`: estimators").items()
    }
    if twice := sorted(set(estimators) & set(KNOWN)):
        raise InputError(f"`suite={path}`: estimators: {twice[0]}: is the name of a model that is there already; choose another")
    ensemble = _filled((EnsembleOptions,), given.get("ensemble", {}), f"`suite={path}`: ensemble")
    transformer = _filled(_TRANSFORMER, given.get("transformer", {}), f"`suite={path}`: transformer")
    suite = Suite(
        questions,
        models,
        estimators,
        _shares(given.get("shares", [1.0]), f"`suite={path}`: shares"),
        _seed(given.get("seed", 0), f"`suite={path}`: seed"),
        ensemble[0],
        (transformer[0], transformer[1], transformer[2], transformer[3]),
        _text(given.get("title", "Benchmark"), f"`suite={path}`: title"),
        _text(given.get("about", ""), f"`suite={path}`: about"),
    )
    if len(models) + len(estimators) < 2:
        raise InputError(f"`suite={path}`: models: name two or more, here or as estimators: they are compared")
    return suite


def _load(path: Path) -> dict[str, Any]:
    require_file("suite", path)
    content = read_yaml(path, "suite")
    if not isinstance(content, dict) or "questions" not in content:
        raise InputError(f"`suite={path}`: has no key `questions`: name each with its table, metadata and metadata_column below it")
    return content


def _question(given: Mapping[str, Any], base: Path, where: str, trained: bool) -> Question:
    for name in given:
        if name in _REFUSED:
            raise InputError(f"{where}: {name}: is not for a benchmark, whose usual models do without; leave it out")
        if name in OF_TRANSFORMERS and not trained:
            raise InputError(f"{where}: {name}: is of transformers, and none is among the models; leave it out, or name one")
    data, reads, distances, samples, target, folding = _filled(_QUESTION, given, where, base)
    try:
        question = Question(data=data, reads=reads, distances=distances, samples=samples, target=target, folding=folding)
        for part in (data, distances, samples, folding):
            for one in fields(part):
                value = getattr(part, one.name)
                for path in value if isinstance(value, tuple) else (value,):
                    if isinstance(path, Path):
                        require_file(one.name, path)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return question


def _filled(kinds: Sequence[Any], given: object, where: str, base: Path | None = None) -> list[Any]:
    """Dataclasses of options whose fields have the names of `given`. InputError, which begins with `where`, for other names, and
    for values that an option does not take.
    """
    found = _mapping(given, where)
    known = {one.name: kind for kind in kinds for one in fields(kind)}
    _keys(found, tuple(known), where)
    made = []
    for kind in kinds:
        hints = get_type_hints(kind)
        values = {name: _value(found[name], hints[name], base) for name in found if known[name] is kind}
        missing = [one.name for one in fields(kind) if one.name in ("table", "metadata_column") and one.name not in values]
        if missing:
            raise InputError(f"{where}: {missing[0]}: is missing")
        try:
            made.append(kind(**values))
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    return made


def _value(value: Any, hint: Any, base: Path | None) -> Any:
    """As the option takes it: several in a tuple, paths from `base`, and a number that YAML reads as text, for want of a dot."""
    several = get_origin(hint) is tuple
    if several and isinstance(value, list):
        return tuple(_value(part, get_args(hint)[0], base) for part in value)
    if base is not None and isinstance(value, str) and Path in (hint, *get_args(hint)):
        return base / Path(value).expanduser()
    if several and isinstance(value, str):
        return (value,)
    if isinstance(value, str) and float in (hint, *get_args(hint)):
        try:
            return float(str(value))
        except ValueError:
            return value
    return value


def _keys(given: dict[str, Any], known: Sequence[str], where: str) -> dict[str, Any]:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name).replace("-", "_"), known, n=2)
            raise InputError(f"{where}: {name}: is unknown; {_choices(near, known)}")
    return given


def _choices(near: Sequence[str], known: Sequence[str]) -> str:
    return f"near it: {', '.join(near)}" if near else f"these are known: {first_few(list(known), 40)}"


def _mapping(given: object, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InputError(f"{where}: must hold `name: value` lines, not {given!r:.60}")
    return {str(name): value for name, value in given.items()}


def _names(given: object, where: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise InputError(f"{where}: must be a list of names, not {given!r:.60}")
    for number, name in enumerate(given):
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, n=2, cutoff=0.4)
            raise InputError(f"{where}: {name}: is unknown; {_choices(near, KNOWN)}; models of others go below `estimators`")
        if name in given[:number]:
            raise InputError(f"{where}: {name}: is named twice")
    return tuple(given)


def _shares(given: object, where: str) -> tuple[float, ...]:
    numbers: list[Any] = given if isinstance(given, list) else [given]
    if not all(isinstance(share, int | float) and not isinstance(share, bool) and 0 < share <= 1 for share in numbers):
        raise InputError(f"{where}: must be numbers above 0 and up to 1, such as [0.25, 0.5, 1], not {given!r:.60}")
    return tuple(sorted({float(share) for share in numbers} | {1.0}))


def _seed(given: object, where: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool):
        raise InputError(f"{where}: must be a whole number, not {given!r:.60}")
    try:
        check_seed(given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return given


def _text(given: object, where: str) -> str:
    if not isinstance(given, str):
        raise InputError(f"{where}: must be text, not {given!r:.60}")
    return given.strip()
