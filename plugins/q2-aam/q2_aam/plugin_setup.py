"""What QIIME 2 is told of the plugin."""

from q2_sample_classifier import ClassifierPredictions, Probabilities, RegressorPredictions
from q2_types.distance_matrix import DistanceMatrix
from q2_types.feature_data import FeatureData, Sequence
from q2_types.feature_table import FeatureTable, Frequency
from q2_types.ordination import PCoAResults
from q2_types.sample_data import SampleData
from q2_types.tree import Phylogeny, Rooted
from qiime2.plugin import Bool, Float, Int, Metadata, Plugin, Range, Str

from q2_aam import __version__, actions
from q2_aam.models import AAMClassifier, AAMEncoder, AAMModel, AAMModelDirFmt, AAMRegressor, ModelConfigFormat, ModelPartFormat

plugin = Plugin(
    name="aam",
    version=__version__,
    website="README.md of q2-aam",
    package="q2_aam",
    short_description="Learn from amplicon sequencing tables with AAM.",
    description="Attention All Microbes: nucleotides -> ASVs -> samples, pretrained with UniFrac, fine-tuned to predict.",
)

plugin.register_formats(ModelConfigFormat, ModelPartFormat, AAMModelDirFmt)
plugin.register_semantic_types(AAMModel, AAMEncoder, AAMRegressor, AAMClassifier)
plugin.register_semantic_type_to_format(AAMModel[AAMEncoder | AAMRegressor | AAMClassifier], artifact_format=AAMModelDirFmt)

_DATA = {"table": FeatureTable[Frequency], "sequences": FeatureData[Sequence]}
_ABOUT_DATA = {"table": "Counts of reads.", "sequences": "Sequences of the features of the table."}
_SEED = {"seed": Int % Range(0, None)}
_TARGET = {"metadata": Metadata, "column": Str, "group_column": Str, **_SEED}
_ABOUT_TARGET = {
    "metadata": "Sample metadata. Samples without a value are left out.",
    "column": "Metadata column to predict.",
    "group_column": "Metadata column of subjects, cages or studies: samples of one stay on one side of every split.",
    "seed": "Random seed.",
}
_TRAINED = {**_TARGET, "test_fraction": Float % Range(0, 1)}
_ABOUT_TRAINED = {**_ABOUT_TARGET, "test_fraction": "Share of the samples set aside as test samples, which are predicted."}
_ABOUT_NEW = {"metadata": "Sample metadata, for a model that was trained with metadata columns."}

plugin.methods.register_function(
    function=actions.pretrain,
    inputs={**_DATA, "phylogeny": Phylogeny[Rooted]},
    parameters={"epochs": Int % Range(1, None), **_SEED},
    outputs=[("encoder", AAMModel[AAMEncoder])],
    input_descriptions={**_ABOUT_DATA, "phylogeny": "Tree of the features, for UniFrac."},
    parameter_descriptions={"epochs": "Maximum number of epochs.", "seed": "Random seed."},
    output_descriptions={"encoder": "An encoder whose embeddings lie as far apart as UniFrac says."},
    name="Pretrain an encoder without labels",
    description="Learn from UniFrac between samples, and from masked nucleotides.",
)

for _function, _kind, _predictions, _what in (
    (actions.train_regressor, AAMRegressor, RegressorPredictions, "a number"),
    (actions.train_classifier, AAMClassifier, ClassifierPredictions, "classes"),
):
    plugin.methods.register_function(
        function=_function,
        inputs=_DATA,
        parameters=_TRAINED,
        outputs=[("model", AAMModel[_kind]), ("predictions", SampleData[_predictions])],
        input_descriptions=_ABOUT_DATA,
        parameter_descriptions=_ABOUT_TRAINED,
        output_descriptions={"model": "The trained ensemble.", "predictions": "Predictions of the test samples."},
        name=f"Train a model that predicts {_what}",
        description="Fit AAM's ensemble: set networks, linear and kernel models and trees, cross-fitted on whole groups.",
    )

plugin.methods.register_function(
    function=actions.predict_regression,
    inputs={**_DATA, "model": AAMModel[AAMRegressor]},
    parameters={"metadata": Metadata},
    outputs=[("predictions", SampleData[RegressorPredictions])],
    input_descriptions={**_ABOUT_DATA, "model": "A trained model."},
    parameter_descriptions=_ABOUT_NEW,
    output_descriptions={"predictions": "Predicted numbers."},
    name="Predict a number of new samples",
    description="Apply a trained model to a table, which may have new ASVs.",
)

plugin.methods.register_function(
    function=actions.predict_classification,
    inputs={**_DATA, "model": AAMModel[AAMClassifier]},
    parameters={"metadata": Metadata},
    outputs=[("predictions", SampleData[ClassifierPredictions]), ("probabilities", SampleData[Probabilities])],
    input_descriptions={**_ABOUT_DATA, "model": "A trained model."},
    parameter_descriptions=_ABOUT_NEW,
    output_descriptions={"predictions": "Predicted classes.", "probabilities": "Probabilities of the classes."},
    name="Predict classes of new samples",
    description="Apply a trained model to a table, which may have new ASVs.",
)

plugin.methods.register_function(
    function=actions.embed,
    inputs={**_DATA, "encoder": AAMModel[AAMEncoder]},
    parameters={},
    outputs=[("coordinates", PCoAResults), ("distances", DistanceMatrix)],
    input_descriptions={**_ABOUT_DATA, "encoder": "A pretrained encoder. Default: aam-16s-v4, of 16S V4 after primer 515F."},
    parameter_descriptions={},
    output_descriptions={
        "coordinates": "Principal coordinates of the embeddings of samples.",
        "distances": "Euclidean distances between the embeddings.",
    },
    name="Embed samples",
    description="Where samples lie by what an encoder was taught.",
)

plugin.visualizers.register_function(
    function=actions.evaluate,
    inputs={**_DATA, "phylogeny": Phylogeny[Rooted]},
    parameters={**_TARGET, "classifier": Bool, "folds": Int % Range(2, None), "only_baselines": Bool},
    input_descriptions={
        **_ABOUT_DATA,
        "phylogeny": "Tree of the features, for nearest neighbours by UniFrac. Default: one is built.",
    },
    parameter_descriptions={
        **_ABOUT_TARGET,
        "classifier": "The column holds classes.",
        "folds": "Number of folds.",
        "only_baselines": "Leave AAM out: the usual models only, which is much faster.",
    },
    name="Evaluate how well a metadata column can be predicted",
    description="AAM and the usual models on the same folds of a cross-validation, with groups kept whole.",
)
