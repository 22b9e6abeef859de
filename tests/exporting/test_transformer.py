"""A graph of a transformer or an encoder says what it says, at sizes that it was not traced with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from aam.data.sequences import tokenize
from aam.exporting.export import export
from aam.exporting.transformer import predicted
from aam.learners.transformer import TransformerLearner
from aam.options import ModelOptions, TargetOptions, TrainFitOptions
from aam.saved.load import load
from aam.study.problem import pose
from aam.study.reading import read_study
from aam.study.targets import ClassTarget, RegressionTarget
from tests.support.released import RELEASED
from tests.support.studies import simulated_study

TARGETS = {
    "number": RegressionTarget("zscore", 3.0, 2.0),
    "logarithm": RegressionTarget("log-zscore", 1.0, 0.5),
    "above an end": RegressionTarget("zscore", 3.0, 2.0, low=0.0),
    "between ends": RegressionTarget("log-minmax", 0.1, 2.0, low=0.0, high=9.0),
    "quantiles": RegressionTarget("zscore", 3.0, 2.0, loss_type="quantile", high=4.0),
    "count": RegressionTarget("none", 0.0, 4.0, loss_type="poisson", low=0.0),
    "classes": ClassTarget(("a", "b", "c"), (1.0, 1.0, 1.0)),
    "ordered classes": ClassTarget(("a", "b", "c", "d"), (1.0, 1.0, 1.0, 1.0), loss_type="ordinal"),
}
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
reader = pytest.importorskip("aam.exporting.reader")


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_heads_say_is_decoded_as_it_is_in_the_model(target):
    class Decoded(nn.Module):
        def forward(self, raw):
            return predicted(target, raw.double())

    raw = torch.randn(6, target.head_outputs, generator=torch.Generator().manual_seed(0)) * 3
    np.testing.assert_allclose(predicted(target, raw.double()).numpy(), target.decode_outputs(raw.numpy()), rtol=1e-9)
    # onnxruntime has these of float32 alone.
    traced = torch.export.export(Decoded(), (raw,), strict=False)
    assert not {"softplus", "log_sigmoid"} & {
        str(node.target).split(".")[1] for node in traced.graph.nodes if "aten" in str(node.target)
    }


def agrees(session, about, study, said, rows, name=0, atol=1e-4):
    counts = study.counts[rows].toarray()
    design = None
    if about["covariates"]:
        design = reader.design_of(about, study.written.iloc[rows].astype(object).to_dict("records"))
    for size in (64, 3):
        found = reader.run(session, about, study.sequences, counts, design, size)[about["outputs"][name]]
        np.testing.assert_allclose(found, said, atol=atol, rtol=0)


def shortened(study, lengths):
    """The same samples with sequences cut to several lengths."""
    cut = tuple(sequence[: lengths[place % len(lengths)]] for place, sequence in enumerate(study.sequences))
    return replace(study, sequences=cut, asv_tokens=tokenize(cut, study.table.feature_ids, 150))


def test_a_number_with_covariates(tmp_path):
    folder = RELEASED / "0.1.0"
    study = read_study(folder / "table.biom", metadata=folder / "metadata.tsv")
    session, about = reader.load(export(load(folder / "number"), tmp_path / "m.onnx"))
    assert about["inputs"] == ["tokens", "vectors", "index", "counts", "design"]
    for some, rows in ((study, study.rows), (shortened(study, (31, 20, 3)), np.array([4])), (study, np.array([7, 3, 11, 5, 2]))):
        fitted = load(folder / "number")
        agrees(session, about, some, fitted.predict(some, rows), rows)
    agrees(session, about, study, fitted.embed(study), study.rows, 1, 1e-5)


def test_classes_by_words_and_places_that_are_learned(tmp_path):
    study = simulated_study()
    shape = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1, position_encoding="learned", word_length=3)
    learner = TransformerLearner(shape, options=TrainFitOptions(epochs=1, batch_size=8))
    fitted = learner.fit(pose(study, TargetOptions(metadata_column="disease", classifier=True)), np.arange(40))
    session, about = reader.load(export(fitted, tmp_path / "m.onnx"))
    assert about["target"]["classes"] == list(fitted.target.target.classes)
    for some in (study, shortened(study, (39, 2, 1, 17))):
        agrees(session, about, some, fitted.predict(some), some.rows, atol=1e-5)


def test_an_encoder(tmp_path):
    folder = RELEASED / "0.1.0"
    study, fitted = read_study(folder / "table.biom"), load(folder / "encoder")
    session, about = reader.load(export(fitted, tmp_path / "m.onnx"))
    assert (about["kind"], about["outputs"]) == ("encoder", ["sample_embedding", "asv_vectors"])
    agrees(session, about, study, fitted.embed(study), study.rows, atol=1e-5)
    agrees(session, about, study, fitted.embed(study, np.array([3])), np.array([3]), atol=1e-5)
    # As one batch, in which nothing was encoded before: all that a graph takes.
    used, index = np.unique(np.arange(12).reshape(3, 4) % 7, return_inverse=True)
    given = {"tokens": study.asv_tokens[used], "index": index.reshape(3, 4), "counts": np.ones((3, 4), np.float32)}
    width = fitted.info.options.embedding_dim
    said, vectors = session.run(None, {**given, "vectors": np.zeros((0, width), np.float32)})
    apart = session.run(None, {**given, "tokens": given["tokens"][:1], "vectors": vectors})[0]
    np.testing.assert_allclose(said, apart, atol=1e-6)
