"""Options of a target: each misfit is one line."""

import pytest

from aam.errors import InputError
from aam.options import OneTargetOptions, TargetOptions, order_in, quantiles_in, range_in, weights_in


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quantiles": "0.9,0.5,0.1"}, "`quantiles=0.9,0.5,0.1`: must be in rising order"),
        ({"quantiles": "0,0.5"}, "`quantiles=0,0.5`: must be between 0 and 1"),
        ({"quantiles": "0.10,0.9"}, "`quantiles=0.10,0.9`: must be with the median"),
        ({"quantiles": "0.1,0.9"}, "`quantiles=0.1,0.9`: must be with the median"),
        ({"quantiles": "0.1,,0.5"}, "`quantiles=0.1,,0.5`: must be numbers with commas between them; nothing is none"),
        ({"quantiles": "0.1,0.5", "classifier": True}, "`quantiles` is for a number"),
        ({"output_range": "5,0"}, "`output_range=5,0`: must be a lower end below the upper end"),
        ({"output_range": ","}, "`output_range=,`: must be LOW,HIGH"),
        ({"output_range": "0,nan"}, "`output_range=0,nan`: must be numbers"),
        ({"loss_type": "huber", "classifier": True}, "`loss_type=huber` is for a number"),
        ({"loss_type": "ordinal"}, "`loss_type=ordinal` is for classes"),
        ({"loss_type": "poisson"}, "`loss_type=poisson` with `target_transform=zscore`"),
        ({"loss_type": "asymmetric", "asymmetry": 1.0}, "`asymmetry=1.0`: must be between 0 and 1"),
        ({"asymmetry": 0.9}, "`asymmetry` belongs to `loss_type=asymmetric`"),
        ({"asymmetry": 0.9, "classifier": True}, "`asymmetry` belongs to `loss_type=asymmetric`"),
        ({"target_transform": "log-zscore", "classifier": True}, "`target_transform` is for a number"),
        ({"class_columns": ("y",), "metadata_column": "x,y", "asymmetry": 0.9}, "`asymmetry` belongs to `loss_type=asymmetric`"),
        ({"target_weights": "x=2"}, "`target_weights` is for several columns"),
        ({"target_weights": "z=2", "metadata_column": "x,y"}, "`target_weights`: z is not predicted; columns: x, y"),
        ({"target_weights": "none", "metadata_column": "x,y"}, "`target_weights=none`: must be COLUMN=WEIGHT"),
        (
            {"class_columns": ("y",), "metadata_column": "x,y,z", "output_range": "0,1"},
            "`output_range` is of one number, and several are predicted",
        ),
        (
            {"class_columns": ("y", "z"), "metadata_column": "x,y,z", "class_weights": "a=2"},
            "`class_weights` names classes of one column, and y, z have classes",
        ),
        ({"class_weights": "none"}, "`class_weights` is for classes"),
        ({"class_weights": "a=1,a=2", "classifier": True}, "`class_weights=a=1,a=2`: must be balanced, none, or CLASS=WEIGHT"),
        ({"class_weights": "a=0", "classifier": True}, "`class_weights=a=0`: must be weights above 0"),
        ({"class_weights": "a", "classifier": True}, "`class_weights=a`: must be balanced, none, or CLASS=WEIGHT"),
        ({"class_order": "a,b", "classifier": True}, "`class_order` belongs to `loss_type=ordinal`"),
    ],
)
def test_what_does_not_fit_is_one_line(options, said):
    with pytest.raises(InputError) as raised:
        TargetOptions(**{"metadata_column": "x", **options})
    assert str(raised.value).startswith(said)


def test_texts_of_several_values():
    assert quantiles_in("0.1, 0.5,0.9") == (0.1, 0.5, 0.9)
    assert [range_in(text) for text in (None, "0,", ",5", "0,100")] == [(None, None), (0, None), (None, 5), (0, 100)]
    assert weights_in("healthy=1,ibd=3") == {"healthy": 1, "ibd": 3}
    assert weights_in("a=b=2") == {"a=b": 2}
    assert (weights_in("balanced"), weights_in("none"), order_in("none, mild")) == ({}, {}, ("none", "mild"))


def test_options_of_numbers_do_not_reach_columns_of_classes():
    """What is given for the numbers among several columns is no mistake in the others."""
    numbers = {"asymmetry": 0.9, "loss_type": "asymmetric", "target_transform": "minmax", "output_range": "0,1"}
    several = TargetOptions(metadata_column="x,y", class_columns=("y",), target_weights="x=2", **numbers)
    number, classes = several.of("x"), several.of("y")
    assert (number.asymmetry, number.loss_type, number.output_range) == (0.9, "asymmetric", "0,1")
    assert classes == OneTargetOptions(metadata_column="y", classifier=True)


def test_what_could_be_of_several_columns_is_known_from_the_metadata():
    """A column whose own name has a comma is one column."""
    ranged = TargetOptions(metadata_column="x,y", output_range="0,1")
    assert ranged.columns({"x,y"}) == ("x,y",)
    with pytest.raises(InputError, match="`output_range` is of one number"):
        ranged.columns({"x", "y"})
    one = OneTargetOptions(metadata_column="x,y")
    assert one.columns({"x,y"}) == ("x,y",)
    with pytest.raises(InputError, match="give one"):
        one.columns({"x", "y"})


def test_options_of_an_earlier_version_are_taken():
    """They recorded the loss of a number for classes, too."""
    assert TargetOptions(metadata_column="x", classifier=True, loss_type="mae").class_weights == "balanced"
