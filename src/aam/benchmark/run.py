"""A benchmark from beginning to end: what Python and the command line both call."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from aam.benchmark.asked import Asked
from aam.benchmark.findings import findings_before
from aam.benchmark.models import is_trivial
from aam.benchmark.page import verdict_of, write_pages
from aam.benchmark.scores import Results, scored
from aam.benchmark.suite import Suite
from aam.benchmark.tables import write_findings, write_tables
from aam.benchmark.work import Bench, run_pieces
from aam.errors import InputError
from aam.options import CacheOptions
from aam.parallel.threads import allotted_threads

log = logging.getLogger(__name__)


def check_suite(suite: Suite, folder: str | Path, caching: CacheOptions = CacheOptions()) -> dict[str, list[str]]:
    """Read every question and say what makes its scores mislead: by question sentences, also written to checks.tsv in `folder`.
    Nothing but trivial models is fitted. InputError for a question that cannot be answered.
    """
    return _asked(Bench(suite, Path(folder), caching=caching))[1]


def run_benchmark(
    suite: Suite,
    folder: str | Path,
    jobs: int | None = None,
    facts: Mapping[str, str] | None = None,
    caching: CacheOptions = CacheOptions(),
) -> Results:
    """Fit every model of a suite in every fold of every question, and write scores, ranks, a page and its Markdown to `folder`.

    What `folder` holds of the same data, folds and options is not computed again. jobs: pieces of work at a time, by default one
    for each core; facts: about the run, by name, for the page.

    >>> from pathlib import Path
    >>> import aam
    >>> question = "{table: community/table.biom, metadata: community/metadata.tsv, metadata_column: age, folds: 2}"
    >>> models = "['linear model, presence', 'linear model, CLR']"
    >>> _ = Path("two_models.yaml").write_text(f"{{models: {models}, questions: {{age: {question}}}}}")
    >>> results = aam.run_benchmark(aam.read_suite("two_models.yaml"), "compared", jobs=1)
    >>> sorted(rank.model for rank in results.ranking.ranks)
    ['linear model, CLR', 'linear model, presence']
    """
    bench = Bench(suite, Path(folder), jobs or allotted_threads(), caching)
    asked, findings = _asked(bench)
    pieces = []
    for name, one in asked.items():
        learners = one.learners(suite)
        # Those of levels and covariates are there where such columns are named.
        if absent := [model for model in suite.models if model not in learners and not is_trivial(model)]:
            log.info("%s: cannot be answered by %s", name, ", ".join(absent))
        pieces += bench.pieces(name, one, list(learners))
    answers = run_pieces(bench, pieces)
    results = Results([result for name, one in asked.items() for result in scored(name, one, answers)], findings)
    if all(is_trivial(name) for result in results.whole for name in result.models):
        first = next((f"{name}, {why}" for result in results.whole for name, why in result.failed.items()), "none could answer")
        raise InputError(f"every model failed; the first one: {first}")
    write_tables(results, bench.folder, verdict_of(results))
    write_pages(results, bench.folder, suite.title, suite.about, facts or {})
    return results


def _asked(bench: Bench) -> tuple[dict[str, Asked], dict[str, list[str]]]:
    """All questions, read, and what to know of each."""
    (bench.folder / "trees").mkdir(parents=True, exist_ok=True)
    asked, findings = {}, {}
    for name in bench.suite.questions:
        log.info("reading %s", name)
        try:
            asked[name] = bench.ask(name, built=False)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        findings[name] = findings_before(asked[name])
        for finding in findings[name]:
            log.warning("%s: %s", name, finding)
    write_findings(findings, bench.folder)
    return asked, findings
