"""Faults that are planted are what they are said to be, and the benchmark counts those that an evaluation names."""

from benchmarks import planted_errors


def test_what_an_evaluation_names_of_planted_faults_is_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(planted_errors, "_SAMPLES", 120)
    monkeypatch.setattr(planted_errors, "_MODELS", ("median", "class shares", "ridge, CLR", "logistic regression, CLR"))
    assert planted_errors.main(["--seeds", "1", "--output", str(tmp_path)]) == 0
    table, progress = capsys.readouterr()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0] == ["tables", "none", "swapped", "shifted", "wide", "labels named as wrong that are"]
    assert [row[0] for row in rows[2:]] == ["number", "classes"]
    assert all(cell in ("0 of 1", "1 of 1") for row in rows[2:] for cell in row[1:5])
    assert "number, none, seed 0: " in progress
    # Of a linear model and the trivial one, in three folds of eight tables.
    assert len(list(tmp_path.rglob("*.npy"))) == 2 * 3 * 8


def test_planted_faults_are_what_they_are_said_to_be():
    community = planted_errors.Community.of(0)
    clean = {kind: planted_errors.planted(community, kind, "none", 0)[0].truth for kind in planted_errors.KINDS}
    for kind, truth in clean.items():
        changed = {
            fault: planted_errors.planted(community, kind, fault, 0)[0].truth != truth for fault in ("swapped", "shifted", "wide")
        }
        swapped = planted_errors.planted(community, kind, "swapped", 0)[1]
        assert swapped.sum() == 50
        assert not changed["swapped"][~swapped].any()
        assert not changed["shifted"][~community.at("study", "study2")].any()
        assert not changed["wide"][~community.at("site", "C")].any()
        assert min(part.sum() for part in changed.values()) > 30
    ages = planted_errors.planted(community, "number", "shifted", 0)[0].truth - clean["number"]
    assert set(ages.round(6)) == {0.0, 15.0}
    called = planted_errors.planted(community, "classes", "shifted", 0)[0].truth - clean["classes"]
    assert set(called) == {0, 1}
