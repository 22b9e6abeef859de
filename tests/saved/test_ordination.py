"""Principal coordinates of embeddings: beside scikit-bio's, as files, as a page and a picture."""

import json
import re
import shutil
import subprocess
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist, squareform
from skbio import DistanceMatrix, OrdinationResults
from skbio.stats.ordination import pcoa

from aam.data.metadata import Metadata
from aam.errors import InputError
from aam.saved.ordination import AXES, COLOURS, Column, columns_to_colour, ordinate
from aam.saved.ordination_files import beside_ordination, write_ordination

IDS = [f"2538.{number:03}0" for number in range(30)]
EMBEDDINGS = (np.random.default_rng(0).normal(size=(30, 16)) * np.linspace(3, 0.1, 16) + 5).astype(np.float32)


@pytest.fixture(scope="module")
def found():
    return ordinate(IDS, EMBEDDINGS)


def test_they_are_those_of_scikit_bio(found):
    distances = DistanceMatrix(squareform(pdist(EMBEDDINGS.astype(np.float64))), IDS)
    wanted = pcoa(distances, dimensions=AXES)
    np.testing.assert_allclose(found.eigvals, wanted.eigvals, rtol=1e-9)
    # scikit-bio gives shares of the axes that it was asked for, or of all, by version: those of all are by hand.
    np.testing.assert_allclose(
        found.proportion_explained, found.eigvals / (squareform(distances.data) ** 2).sum() * len(IDS), rtol=1e-9
    )
    np.testing.assert_allclose(found.samples.abs(), wanted.samples.abs(), rtol=1e-6, atol=1e-9)
    assert list(found.samples.index) == IDS
    assert (found.short_method_name, list(found.samples.columns[:2])) == ("PCoA", ["PC1", "PC2"])


def test_signs_do_not_depend_on_the_order_of_samples(found):
    turned = ordinate(IDS[::-1], EMBEDDINGS[::-1])
    np.testing.assert_allclose(turned.samples.loc[IDS], found.samples, atol=1e-9)


@pytest.mark.parametrize(("ids", "embeddings"), [(IDS[:3], np.full((3, 4), 0.1, np.float32)), (IDS[:1], EMBEDDINGS[:1])])
def test_what_has_no_axes_is_said(ids, embeddings):
    with pytest.raises(InputError, match="whose embeddings are all the same have no axes"):
        ordinate(ids, embeddings)


def test_a_single_axis_is_drawn_too(tmp_path):
    line = ordinate(IDS, EMBEDDINGS[:, :1])
    assert line.samples.shape == (30, 1)
    write_ordination(tmp_path / "line.txt", line, [], "A line", "distances")
    assert all(path.exists() for path in beside_ordination(tmp_path / "line.txt"))


TEXT = [f"level {number % 13}" for number in range(29)] + [None]
NUMBERS = [*map(float, range(29)), np.nan]
TYPED = pd.DataFrame(
    {"age": NUMBERS, "site": TEXT, "same": 1.0, "name": [f"</script><b>{name}" for name in IDS], "plate": ["1.10", "1.1"] * 15},
    index=IDS,
)


def test_columns_that_tell_nothing_are_left_out_unless_they_are_asked_for():
    more = {
        "out_of_distribution": np.arange(30) < 3,
        "reason": np.array(["few reads"] * 3 + [""] * 27, dtype=object),
        "age": np.ones(30),
    }
    columns = columns_to_colour(IDS[::-1], Metadata(TYPED), more)
    assert [column.name for column in columns] == ["age", "site", "plate", "out_of_distribution"]
    age, site, plate, out = columns
    np.testing.assert_array_equal(age.values, NUMBERS[::-1])
    assert (age.is_number, site.is_number, site.known, site.levels[0]) == (True, False, 29, "level 0")
    assert set(plate.levels) == {"1.10", "1.1"}
    assert out.levels == ("no", "yes")
    assert [column.name for column in columns_to_colour(IDS, Metadata(TYPED), {}, "name")][:2] == ["name", "age"]
    # Of a sample that the metadata lack, nothing is known.
    assert columns_to_colour(["other", *IDS], Metadata(TYPED), {})[1].values[0] is None
    with pytest.raises(InputError, match="the metadata has no column colour; columns: age, site"):
        columns_to_colour(IDS, Metadata(TYPED), {}, "colour")


@pytest.fixture(scope="module")
def written(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ordination")
    for chosen in ("age", "site", "name"):
        columns = columns_to_colour(IDS, Metadata(TYPED), {}, chosen)
        write_ordination(folder / f"{chosen}.txt", found, columns, "Samples </title>", "UniFrac & more")
    return folder


def test_the_coordinates_are_read_by_scikit_bio(found, written):
    read = OrdinationResults.read(str(written / "age.txt"))
    np.testing.assert_allclose(read.samples, found.samples)
    assert list(read.samples.index) == IDS


def data_of(page):
    return json.loads(re.search(r"const data = (\{.*?\});\n", page)[1])


def test_the_page_holds_every_point_and_value_and_nothing_that_ends_its_script(found, written):
    page = (written / "name.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 1
    assert not re.search(r"(?:src|href)=|https?://|@import|fetch\(", page)
    data = data_of(page)
    assert data["ids"] == IDS
    np.testing.assert_allclose(data["axes"][1]["values"], found.samples["PC2"], rtol=1e-5)
    columns = {column["name"]: column for column in data["columns"]}
    assert columns["age"]["values"] == [*range(29), None]
    assert (columns["age"]["low"], columns["age"]["high"]) == (0, 28)
    site = columns["site"]
    assert [None if code is None else site["levels"][code] for code in site["values"]] == TEXT
    assert columns["name"]["levels"][0].startswith("</script>")
    assert '<option value="0" selected>name</option>' in page
    assert "The first two axes hold" in page


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_script_of_the_page_is_sound(written, tmp_path):
    script = re.search(r"<script>(.*)</script>", (written / "site.html").read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "page.js").write_text(script, encoding="utf-8")
    subprocess.run(["node", "--check", tmp_path / "page.js"], check=True, timeout=60)


def test_the_picture_has_a_legend_of_the_commonest_levels(written):
    texts = [
        "".join(element.itertext()).strip() for element in ET.parse(written / "site.svg").iter("{http://www.w3.org/2000/svg}text")
    ]
    assert "site" in texts
    assert "no value" in texts
    assert sum(text.startswith("level ") for text in texts) == len(COLOURS)
    assert "3 others" in texts
    assert any(text.startswith("PC1 (") for text in texts)


def test_no_samples_of_a_number_are_known(found, tmp_path):
    write_ordination(tmp_path / "a.txt", found, [Column("age", np.full(30, np.nan))], "A", "UniFrac")
    assert data_of((tmp_path / "a.html").read_text(encoding="utf-8"))["columns"][0]["values"] == [None] * 30
