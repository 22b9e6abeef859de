"""The estimator that embeds samples."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities.seed import isolate_rng
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from aam.disk.cache import Cache
from aam.errors import InputError, path_of
from aam.learners.pretraining import PretrainingLearner
from aam.options import (
    AugmentOptions,
    FitOptions,
    ModelOptions,
    PretrainObjectives,
    ReadOptions,
    TreeOptions,
    UniFracMetric,
)
from aam.saved.fitted import Fitted
from aam.saved.transformer import FittedEncoder
from aam.sklearn.estimator import Estimator, flag, given_or_default, require_sequences
from aam.study.matrices import GivenSequences
from aam.study.study import Study
from aam.study.tree import on_given_distances, with_distances
from aam.training.objectives.taught import check_distances, check_types, tree_is_needed


class AAMEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """Embed microbiome samples: `fit` pretrains a transformer without labels, `transform` gives embeddings.

    Distances between embeddings approach UniFrac distances between samples, and masked nucleotides are predicted; `objectives`
    teaches other distances and quantities.

    Parameters
    ----------
    sequences, max_bp, sampling_depth, random_state
        As those of `AAMRegressor`. The encoder needs sequences.
    tree : str or Path, optional
        Phylogeny of the features (newick or ``.qza``). Default: that of the study, else one is built from the sequences.
    unifrac_metric : {"unweighted", "weighted_normalized", "weighted_unnormalized", "generalized"}
        UniFrac variant on that tree. The tree of a study comes with its own.
    epochs : int, optional
        Maximum number of epochs. Default: that of `fit_options`.
    model_options : ModelOptions, optional
        Shape of the transformer.
    objectives : PretrainObjectives, optional
        What is learned, with weights: ``aam.options.PretrainObjectives(encoder_type=("bray_curtis", "faith_pd"))``.
    fit_options : FitOptions, optional
        How it is trained.
    augment : str, optional
        Change training samples at random: ``"cutmix,dropout"``.
    groups_in_batch : int, optional
        Groups (studies) in a batch, as many samples of each: `fit` needs `groups`. Default: samples at random.
    verbose : bool
        Show a progress bar of fitting.
    space : str, optional
        What `transform` gives of an encoder that was taught several things, by the name that `objectives` has for it: vectors whose
        distances are those, or a quantity [n, 1] in its own units. Default: the embeddings.

    Attributes
    ----------
    fitted_ : FittedEncoder
        The fitted encoder, as `aam.load` gives it; `fitted_.embed_asvs(study)` embeds ASVs.
    n_features_in_, feature_names_in_
        As those of `AAMRegressor`.

    Examples
    --------
    >>> import aam
    >>> from aam.options import ModelOptions
    >>> study = aam.read_study("community/table.biom", tree="community/tree.nwk")
    >>> small = ModelOptions(embedding_dim=8, attention_heads=2, attention_layers=1)
    >>> aam.AAMEncoder(epochs=1, model_options=small).fit_transform(study).shape
    (60, 8)

    """

    fitted_: FittedEncoder

    def __init__(  # noqa: PLR0913 - scikit-learn finds parameters by name
        self,
        *,
        sequences: GivenSequences | None = None,
        max_bp: int = ReadOptions.max_bp,
        sampling_depth: int | None = None,
        tree: str | Path | None = None,
        unifrac_metric: UniFracMetric = TreeOptions.unifrac_metric,
        epochs: int | None = None,
        model_options: ModelOptions | None = None,
        objectives: PretrainObjectives | None = None,
        fit_options: FitOptions | None = None,
        augment: str | None = None,
        groups_in_batch: int | None = None,
        random_state: Any = 0,
        verbose: bool = False,
        space: str | None = None,
    ) -> None:
        self.sequences = sequences
        self.max_bp = max_bp
        self.sampling_depth = sampling_depth
        self.tree = tree
        self.unifrac_metric = unifrac_metric
        self.epochs = epochs
        self.model_options = model_options
        self.objectives = objectives
        self.fit_options = fit_options
        self.augment = augment
        self.groups_in_batch = groups_in_batch
        self.random_state = random_state
        self.verbose = verbose
        self.space = space

    def fit(self, X: Any, y: Any = None, groups: Any = None) -> AAMEncoder:
        """Pretrain on samples X [N, M]; y is not used; samples of a group [N] all learn, or all choose the best epoch."""
        study = self._read(X, fitting=True)
        require_sequences(study)
        objectives = given_or_default("objectives", self.objectives, PretrainObjectives)
        study = self._with_distance(study, objectives)
        options = replace(given_or_default("fit_options", self.fit_options, FitOptions), seed=self._seed)
        number = self.groups_in_batch
        if number is not None and (isinstance(number, bool) or not isinstance(number, Integral) or number < 1):
            raise InputError(f"`groups_in_batch={number!r}`: must be a whole number of 1 or more")
        learner = PretrainingLearner(
            model=given_or_default("model_options", self.model_options, ModelOptions),
            objectives=objectives,
            options=options if self.epochs is None else replace(options, epochs=self.epochs),
            augment=AugmentOptions(augment=self.augment),
            groups_in_batch=None if number is None else int(number),
            show=flag("verbose", self.verbose),
        )
        with isolate_rng():
            self.fitted_ = learner.fit(study, study.rows, groups=self._groups(study, groups))
        return self

    def _with_distance(self, study: Study, objectives: PretrainObjectives) -> Study:
        """The study with the distance that is learned. InputError for a tree or a variant that would be passed over."""
        tree = None if self.tree is None else path_of("tree", self.tree)
        asked = TreeOptions(tree=tree, unifrac_metric=self.unifrac_metric)
        check_types(objectives)
        check_distances(objectives, asked)
        if not tree_is_needed(objectives):
            return study
        if study.distance is not None and tree is None:
            there = study.metric
            if asked.unifrac_metric not in (TreeOptions.unifrac_metric, there):
                raise InputError(
                    f"`unifrac_metric={self.unifrac_metric}`: the study comes with distances ({there}); give `tree` too"
                )
            return study
        given = on_given_distances(replace(study, distance=None), asked, Cache(None), ignore_missing=False)
        return with_distances(given, asked, Cache(None))

    def transform(self, X: Any) -> np.ndarray:
        """Embeddings float32 [n, D], or what `space` names. InputError for a space that the encoder lacks."""
        study = self._read(X)
        return self.fitted_.embed(study, space=self.space)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        width, head = self.fitted_.info.options.embedding_dim, self.fitted_.head_of(self.space)
        return width if head is None or head.outputs is None else head.outputs

    def _restore(self, fitted: Fitted, folder: str | Path) -> None:
        if not isinstance(fitted, FittedEncoder):
            raise InputError(f"`folder={folder}`: an ensemble, which has no encoder; give the output folder of pretrain")
        self.model_options = fitted.info.options
