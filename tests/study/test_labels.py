"""Labels are taken as they are written, and what looks odd in them is said before anything is learned."""

import json
import logging
from dataclasses import asdict, replace

import numpy as np
import pytest

from aam.data.metadata import Metadata
from aam.data.missing import how_to_leave_out, means_missing, option_for
from aam.disk.schema import parse
from aam.errors import InputError
from aam.evaluation.checks import ungrouped_columns
from aam.options import GroupOptions, ReadOptions, TableOptions, TargetOptions
from aam.study.covariates import Covariates
from aam.study.problem import pose
from aam.study.reading import join, read_samples, read_study
from tests.support.files import metadata_of, table_of

SITES = ["1.1", "1.10", "2"] * 8
DOTS = [f"1.{number // 2 + 1}" for number in range(48)]
ZEROS = [f"{number // 4 + 1:03d}" if number // 2 % 2 else str(number // 4 + 1) for number in range(48)]
AGES = [str(number) for number in range(48)]


def study_of(tmp_path, columns, types=None, name="study", **samples):
    folder = tmp_path / name
    folder.mkdir()
    metadata = metadata_of(folder, columns, types=types)
    table = table_of(folder, [f"S{row}" for row in range(len(next(iter(columns.values()))))])
    options = {key: samples.pop(key) for key in ("confounder_column", "only") if key in samples}
    if "column" in samples:
        options["target"] = target(samples.pop("column"))
    data = TableOptions(table=table, ignore_missing=samples.pop("ignore_missing", False))
    return read_samples(data, ReadOptions(), GroupOptions(metadata=metadata, **samples), by_id=True, **options)


def warnings_in(caplog):
    """Without the other lines of the log, which are there where a command was run before in this process."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def target(column, **options):
    return TargetOptions(metadata_column=column, **options)


def test_classes_that_look_like_numbers_are_as_many_as_are_written(tmp_path, caplog):
    with caplog.at_level("INFO"):
        problem = pose(study_of(tmp_path, {"site": SITES}), target("site", classifier=True))
    assert problem.target.classes == ("1.1", "1.10", "2")
    assert problem.labels.tolist() == SITES
    assert problem.target.names(np.eye(3)[problem.truth]).tolist() == SITES
    assert "classes of site: 1.1 8, 1.10 8, 2 8" in caplog.text


@pytest.mark.parametrize(("subjects", "groups"), [(DOTS, 24), (ZEROS, 24)])
def test_groups_that_look_like_numbers_are_as_many_as_are_written(tmp_path, subjects, groups):
    study = study_of(tmp_path, {"age": AGES, "subject": subjects}, group_column="subject")
    problem = pose(study, target("age"), "subject", "subject")
    assert problem.groups.tolist() == problem.confounder.tolist() == subjects
    assert len(set(problem.groups)) == groups
    assert f"subject ({groups} values)" in ungrouped_columns(study.full_metadata, "age")
    np.testing.assert_array_equal(problem.truth, np.arange(48))


def test_a_column_that_is_declared_numeric_has_the_classes_of_its_numbers(tmp_path):
    study = study_of(tmp_path, {"site": SITES, "plot": SITES}, types={"site": "numeric", "plot": "categorical"})
    assert pose(study, target("site", classifier=True)).target.classes == ("1.1", "2")
    assert pose(study, target("plot", classifier=True)).target.classes == ("1.1", "1.10", "2")
    with pytest.raises(
        InputError, match="column plot: #q2:types in the metadata declares it categorical; pass `classifier`, or declare"
    ):
        pose(study, target("plot"))


def test_levels_are_known_as_written_and_those_of_older_models_as_numbers(tmp_path):
    study = study_of(tmp_path, {"age": AGES[:24], "plot": ["06", "6", "6.0"] * 8})
    fitted = pose(study, target("age", categorical_columns=("plot",))).fitted_to(study.rows).covariates
    again = parse(Covariates, json.loads(json.dumps(asdict(fitted))), "covariates")
    assert again == fitted
    assert fitted.vocabularies == {"plot": ("06", "6", "6.0")}
    np.testing.assert_array_equal(again.encode(study.full_metadata), np.tile(np.eye(3), (8, 1)))
    older = parse(Covariates, {"vocabularies": {"plot": ["10", "6"]}}, "covariates")
    np.testing.assert_array_equal(older.encode(study.full_metadata), [[0, 1]] * 24)


def test_joined_studies_keep_their_labels(tmp_path):
    first = study_of(tmp_path, {"age": AGES, "subject": DOTS}, name="first")
    folder = tmp_path / "second"
    folder.mkdir()
    ids = [f"T{row}" for row in range(4)]
    for subjects in (["1.10", "1.1", "2.0", "2"], ["1.10", "P1", "2.0", "2"]):
        metadata = metadata_of(folder, {"age": ids, "subject": subjects}, ids)
        second = read_study(table_of(folder, ids), metadata=metadata, by_id=True)
        assert join(first, second).labels("subject").tolist() == [*DOTS, *subjects]
    declared = [study_of(tmp_path, {"a": AGES[:3]}, {"a": kind}, kind) for kind in ("numeric", "categorical")]
    renamed = replace(declared[1], table=replace(declared[1].table, sample_ids=("x", "y", "z")))
    with pytest.raises(
        InputError, match="column a: #q2:types declares it numeric in one of the metadata, and categorical in the other"
    ):
        join(declared[0], renamed)


def test_metadata_that_are_no_file_and_metadata_that_were_changed(tmp_path):
    study = study_of(tmp_path, {"age": AGES, "subject": DOTS})
    changed = study.metadata.assign(subject=2.5, new=[10.0, 9.0] * 24)
    assert set(replace(study, metadata=changed).labels("subject")) == {"2.5"}
    assert set(replace(study, metadata=changed).labels("new")) == {"10", "9"}
    half = replace(study, table=study.table.select_samples(study.ids(study.rows[::2])), metadata=study.metadata.iloc[::2])
    assert half.labels("subject").tolist() == DOTS[::2]
    assert Metadata(study.metadata).texts("subject").nunique() == 22


def test_classes_that_look_like_missing_values_are_named(tmp_path, caplog):
    columns = {"site": ["NA", "gut", "skin", "unknown"] * 6, "result": ["+", "-"] * 12}
    with caplog.at_level("INFO"):
        pose(study_of(tmp_path, columns), target("site", classifier=True))
    assert "classes of site: NA 6, gut 6, skin 6, unknown 6" in caplog.text
    assert "column site: 'NA' (6 samples: S0, S4, S8 ... (3 more)), 'unknown' (6 samples: " in caplog.text
    assert (
        "count as classes of their own, and may mean missing; if they do, give `missing_values=NA,unknown` and `ignore_missing`, "
        in caplog.text
    )
    caplog.clear()
    pose(study_of(tmp_path, columns, name="again"), target("result", classifier=True))
    assert not warnings_in(caplog)
    study = study_of(tmp_path, columns, name="third", column="site", missing_values=("NA", "Unknown"), ignore_missing=True)
    assert pose(study, target("site", classifier=True)).target.classes == ("gut", "skin")


def test_many_classes_are_listed_in_part(tmp_path, caplog):
    with caplog.at_level("INFO"):
        pose(study_of(tmp_path, {"site": [f"c{number:02d}" for number in range(23)]}), target("site", classifier=True))
    assert "c19 1 ... (3 more)" in caplog.text


def test_a_group_that_is_unknown_is_warned_about(tmp_path, caplog):
    study_of(tmp_path, {"subject": ["a", "unknown", "b", "Unknown", "unknown", "NA"]}, group_column="subject")
    assert warnings_in(caplog) == [
        "column subject: 'unknown' (2 samples: S1, S4) counts as one group, as if all of them were one subject, and may mean "
        "missing; if it does, give `missing_values=unknown` and `ignore_missing`, or leave such samples out by `where`"
    ]


def test_samples_without_a_group_or_a_level_are_left_out_only_when_asked(tmp_path, caplog):
    columns = {"age": ["", *AGES[1:8]], "subject": ["a", "", "", *"bcdef"], "site": [*"gggs", "not provided", *"ssg"]}
    asked = {"column": "age", "group_column": "subject", "confounder_column": "site"}
    with pytest.raises(InputError, match=r"1 of 8 samples has no value in column age: S0; .*`ignore_missing`"):
        study_of(tmp_path, columns, name="a", **asked)
    with pytest.raises(InputError, match=r"2 of 8 samples have no value in column subject: S1, S2; .*`ignore_missing`"):
        study_of(tmp_path, columns, name="b", group_column="subject")
    with pytest.raises(InputError, match=r"1 of 8 samples has no value in column site: S4; .*`ignore_missing`"):
        study_of(tmp_path, columns, name="c", confounder_column="site")
    study = study_of(tmp_path, columns, name="d", ignore_missing=True, **asked)
    assert study.table.sample_ids == ("S3", "S5", "S6", "S7")
    assert [message.split(":")[0] for message in warnings_in(caplog)] == [
        f"{n} of 8 samples {'has' if n == 1 else 'have'} no value in column {column}, and are left out"
        for n, column in ((1, "age"), (2, "subject"), (1, "site"))
    ]
    assert len(pose(study, target("age"), "subject", "site")) == 4


def test_columns_of_numbers_as_levels_are_warned_about(tmp_path, caplog):
    columns = {
        "age": AGES,
        "bmi": [f"{20 + number / 10:.1f}" for number in range(48)],
        "plot": ["1", "2"] * 24,
        "site": ["a", ""] * 24,
    }
    with caplog.at_level("INFO"):
        pose(study_of(tmp_path, columns), target("age", categorical_columns=("bmi", "plot", "site")))
    assert (
        "`categorical_columns`: bmi is a column of numbers with 48 values in 48 samples: each value becomes a level" in caplog.text
    )
    assert "plot" not in caplog.text
    assert "`categorical_columns`: 24 of 48 samples have no site: read as of an unknown level" in caplog.text


def test_two_whole_numbers_may_be_classes(tmp_path, caplog):
    pose(study_of(tmp_path, {"ill": ["0", "1"] * 4, "dose": ["0.5", "1.5"] * 4}), target("ill"))
    assert warnings_in(caplog) == ["column ill has two values, 0 and 1, read as numbers; pass `classifier` if these are classes"]
    caplog.clear()
    pose(study_of(tmp_path, {"ill": ["0", "1"] * 4, "dose": ["0.5", "1.5"] * 4}, name="b"), target("dose"))
    pose(study_of(tmp_path, {"ill": ["0", "1"] * 4}, types={"ill": "numeric"}, name="c"), target("ill"))
    assert not warnings_in(caplog)


def test_named_samples_alone_are_read(tmp_path):
    columns = {"age": AGES[:12]}
    study = study_of(tmp_path, columns, only={"S7", "S2"})
    assert (study.table.sample_ids, study.metadata["age"].tolist()) == (("S2", "S7"), [2, 7])
    with pytest.raises(
        InputError,
        match=r"`samples`: 1 of 2 samples is not in the table, or without reads: s11 \(1 looks like .*upper and lower case: 's11'",
    ):
        study_of(tmp_path, columns, name="b", only=["S1", "s11"])
    with pytest.raises(InputError, match=r"without reads: zzz$"):
        study_of(tmp_path, columns, name="c", only=["S1", "zzz"])


def test_read_study_takes_several_files_and_words(tmp_path):
    ids = [f"S{row}" for row in range(3)]
    table, first = table_of(tmp_path, ids), metadata_of(tmp_path, {"age": ["1", "NA", "3"]})
    second = metadata_of(tmp_path, {"site": ["1.10", "1.1", "x"]}, name="b.tsv")
    options = {"column": "age", "missing_values": ["NA"], "ignore_missing": True, "by_id": True}
    study = read_study(table, metadata=[first, str(second)], **options)
    assert (study.metadata["age"].tolist(), study.labels("site").tolist()) == ([1, 3], ["1.10", "x"])
    assert read_study(table, metadata=str(first), **{**options, "missing_values": "na"}).metadata["age"].tolist() == [1, 3]
    with pytest.raises(InputError, match="`metadata`: must be a path"):
        read_study(table, metadata=[first, 3])
    with pytest.raises(InputError, match="`missing_values` needs `metadata`"):
        read_study(table, missing_values=["NA"])


def test_words_for_missing_values_are_named_wherever_they_are_levels(tmp_path, caplog):
    columns = {"age": AGES[:12], "site": ["NA", "gut", "skin"] * 4, "sex": ["f", "m", "n.d."] * 4, "result": ["+", "-"] * 6}
    study = study_of(tmp_path, columns, group_column="site", confounder_column="site")
    assert len(warnings_in(caplog)) == 1
    caplog.clear()
    study = study_of(tmp_path, columns, confounder_column="site", name="b")
    assert warnings_in(caplog) == [
        "column site: 'NA' (4 samples: S0, S3, S6 ... (1 more)) counts as a level of its own, and may mean missing; if it does, "
        "give `missing_values=NA` and `ignore_missing`, or leave such samples out by `where`"
    ]
    caplog.clear()
    pose(study, target("age", categorical_columns=("sex", "result")))
    assert warnings_in(caplog) == [
        "column sex: 'n.d.' (4 samples: S2, S5, S8 ... (1 more)) counts as a level of its own, and may mean missing; if it does, "
        "give `missing_values=n.d.`, and such samples are of an unknown level"
    ]


def test_a_column_of_numbers_with_a_word_among_them_has_many_levels(tmp_path, caplog):
    columns = {"age": AGES * 2, "bmi": ["NA", *(str(20 + number % 47) for number in range(95))]}
    pose(study_of(tmp_path, columns), target("age", categorical_columns=("bmi",)))
    assert "`categorical_columns`: bmi is a column of numbers with 48 values in 96 samples: each value becomes" in caplog.text


@pytest.mark.parametrize("word", ["<NA>", "n.a.", "n. a.", "n.d.", "#NUM!", "NaT", "(blank)", "NONE"])
def test_words_for_missing_values_are_known(word):
    assert means_missing(word)


def test_no_option_is_offered_for_words_that_it_cannot_name():
    assert option_for(["missing: lost, late"]) == ""
    assert option_for(["missing: lost, late", "NA"]) == "`missing_values=NA`"
    assert how_to_leave_out(["missing: lost, late"]) == "leave such samples out by `where`"
