"""What is measured: real or simulated tables, and the steps that a user's run is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from aam.compute import plan_of
from aam.data.dataset import Batch, Collate, SampleDataset, make_loader
from aam.data.newick import nodes_of, read_nodes
from aam.data.phylogeny import Phylogeny
from aam.data.sampler import Loader
from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.distances.unifrac import UniFrac
from aam.learners.pretraining import commonest_letters
from aam.models import SequenceEncoder, SequencePredictor
from aam.models.inference import TableSamples, embed_samples, predict_embedded
from aam.models.precision import Lowered
from aam.options import (
    DEFAULT_COMPUTE,
    ComputeOptions,
    FitOptions,
    ModelOptions,
    PretrainObjectives,
    ReadOptions,
    TrainFitOptions,
    TrainObjectives,
)
from aam.study.reading import read_study
from aam.study.study import Study
from aam.study.targets import RegressionTarget
from aam.training.frozen import EmbeddedBatch, HeadModule, make_embedded_loader
from aam.training.module import LearningModule, PretrainModule, TrainModule
from aam.training.objectives.nucleotides import MASKED_ASVS
from aam.training.objectives.taught import UNIFRAC, Taught
from benchmarks.arithmetic import FORWARD_AND_BACKWARD, encode_asvs_flops, forward_flops, masked_flops, positions_of

SIZES = {
    "public": ModelOptions(embedding_dim=128, attention_heads=4, attention_layers=4, ffn_ratio=4.0),
    "small": ModelOptions(embedding_dim=64, attention_heads=4, attention_layers=2, ffn_ratio=4.0),
    "tiny": ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1, ffn_ratio=2.0),
}
SIMULATED = "simulated"
_PRETRAIN, _FIT = FitOptions(), TrainFitOptions()
_SEED = 0


@dataclass(frozen=True, eq=False)
class Subject:
    """A table to measure on, with its tree."""

    name: str
    study: Study
    phylogeny: Phylogeny

    @property
    def samples(self) -> int:
        return len(self.study.table.sample_ids)

    def cut(self, max_bp: int) -> Subject:
        """The same with shorter sequences; ASVs that become equal stay apart."""
        return replace(self, study=replace(self.study, asv_tokens=np.ascontiguousarray(self.study.asv_tokens[:, : 1 + max_bp])))


def read_subject(name: str, data: Path) -> Subject:
    """A real table below `data`, or the simulated one, which is tiny."""
    if name == SIMULATED:
        simulation = simulate(_SEED, n_samples=40, n_asvs=60, length=40)
        table, nodes = simulation.table, nodes_of(simulation.tree)
        tokens = tokenize(simulation.sequences, table.feature_ids, 150)
        study = Study(table, simulation.sequences, tokens)
    else:
        folder = data / name
        sequences = folder / "seqs.fasta"
        study = read_study(folder / "table.biom", rep_seqs=sequences if sequences.is_file() else None)
        nodes = read_nodes(folder / "tree.nwk")
    return Subject(name, study, Phylogeny.from_nodes(nodes, study.table.feature_ids))


@dataclass(frozen=True)
class Work:
    """What one step did: samples, distinct ASVs, their nucleotides, and useful arithmetic (0 where it is not counted)."""

    samples: int
    asvs: int = 0
    nucleotides: int = 0
    flops: float = 0.0


Step = Callable[[], Work]


@dataclass(frozen=True, eq=False)
class Workload:
    """A subject and the options under which it is worked on. `pad_to` is the reference's."""

    subject: Subject
    model: ModelOptions
    batch_size: int
    reads: ReadOptions = field(default_factory=ReadOptions)
    objectives: PretrainObjectives = field(default_factory=PretrainObjectives)
    compute: ComputeOptions = DEFAULT_COMPUTE
    gradient_checkpointing: bool = False
    device: str = "cpu"
    pad_to: int = 1024

    @property
    def rows(self) -> np.ndarray:
        return np.arange(self.subject.samples)

    @property
    def dataset(self) -> SampleDataset:
        return SampleDataset(self.subject.study.table, self.reads, _SEED)

    @property
    def target(self) -> np.ndarray:
        """Stands for a target, float32 [N]: the number of ASVs, scaled. What it is changes no time."""
        richness = np.diff(self.subject.study.counts.indptr).astype(np.float64)
        return RegressionTarget("zscore").fit(richness).learned(richness)

    def encoder(self) -> SequenceEncoder:
        """A fresh model on the device."""
        torch.manual_seed(_SEED)
        encoder = SequenceEncoder(self.model, self.subject.study.asv_tokens.shape[1] - 1, self.compute).to(self.device)
        encoder.asv_encoder.gradient_checkpointing = self.gradient_checkpointing
        return encoder

    def predictor(self, freeze_base: bool = False) -> SequencePredictor:
        """A fresh model for a number, on the device."""
        return SequencePredictor(self.encoder(), self.model, 1, freeze_base=freeze_base).to(self.device)

    def distance(self) -> UniFrac:
        """Unweighted UniFrac on the subject's tree."""
        return UniFrac(self.subject.phylogeny)

    def batches(self, distances: bool = True) -> Iterator[Batch]:
        """Whole batches drawn at random by the project's own loader, epoch after epoch; `distances`: with UniFrac."""
        collate = Collate(self.subject.study.asv_tokens, self.target, measures={"unifrac": self.distance()} if distances else {})
        workers = 0 if self.device == "cpu" else plan_of(self.compute, self.device).workers
        return _whole(
            make_loader(self.dataset, collate, self.rows, self.batch_size, shuffle=True, workers=workers), self.batch_size
        )

    def work_of(self, batch: Batch, passes: int, masked: bool, gradients_of: float = 1.0) -> Work:
        """What a step on a batch did: `passes` times the arithmetic of a forward pass, with the masked nucleotides or without.

        gradients_of: share of the ASVs that have gradients, where not all have: they are encoded once more.
        """
        positions = positions_of(batch.asv_tokens.numpy())
        flops = passes * forward_flops(self.model, positions, (batch.counts > 0).sum(dim=1).numpy())
        if gradients_of < 1:
            flops -= (passes - 1 - passes * gradients_of) * encode_asvs_flops(self.model, positions)
        if masked and self.objectives.nuc_penalty > 0:
            flops += passes * masked_flops(self.model, positions, MASKED_ASVS, self.objectives.nuc_mask_ratio)
        return Work(len(batch.counts), len(positions), int((positions - 1).sum()), flops)


def _whole(loader: DataLoader[Batch], batch_size: int) -> Iterator[Batch]:
    epoch = 0
    while True:
        assert isinstance(loader, Loader)
        loader.batches.sampler.set_epoch(epoch)
        yield from (batch for batch in loader if len(batch.counts) == batch_size)
        epoch += 1


def pretrain_module(work: Workload) -> PretrainModule:
    """What `aam pretrain` fits."""
    probe = next(work.batches())
    letters = commonest_letters(work.subject.study, work.rows)
    module = PretrainModule(work.encoder(), Taught(UNIFRAC), work.objectives, _PRETRAIN, letters, probe)
    return module.to(work.device)


def train_module(work: Workload, kind: type[TrainModule] = TrainModule, freeze_base: bool = False) -> TrainModule:
    """What `aam train` fits: a number; `HeadModule` on a frozen base."""
    letters = commonest_letters(work.subject.study, work.rows)
    model = work.predictor(freeze_base)
    return kind(model, Taught(), TrainObjectives(), _FIT, RegressionTarget("none"), letters).to(work.device)


def embedded_loader(work: Workload, rows: np.ndarray, shuffle: bool = True) -> DataLoader[EmbeddedBatch]:
    """Batches of a frozen base, of the rows of the table. The embeddings are random: what they are changes no time."""
    embeddings = np.random.default_rng(_SEED).standard_normal((work.subject.samples, work.model.embedding_dim)).astype(np.float32)
    fit = replace(_FIT, batch_size=work.batch_size)
    return make_embedded_loader((embeddings, work.target, None), work.subject.study.table.sample_ids, rows, fit, shuffle=shuffle)


def learn(module: LearningModule, batch: Batch | EmbeddedBatch, optimizer: torch.optim.Optimizer) -> None:
    """One step on a batch."""
    loss = module.training_step(batch, 0)
    assert isinstance(loss, Tensor)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), _FIT.gradient_clip)
    optimizer.step()


def _learning(module: LearningModule, work: Workload, masked: bool) -> Step:
    optimizer, batches = module.train().make_optimizer(), work.batches(masked)

    def step() -> Work:
        batch = next(batches)
        learn(module, batch.to(work.device, non_blocking=True), optimizer)
        share = plan_of(work.compute, work.device).gradients_of if masked else 1.0
        return work.work_of(batch, FORWARD_AND_BACKWARD, masked, share)

    return step


def pretrain_step(work: Workload) -> Step:
    """A batch from the loader, UniFrac and masked nucleotides, backward, optimiser."""
    return _learning(pretrain_module(work), work, masked=True)


def train_step(work: Workload) -> Step:
    """A batch from the loader, the target's loss, backward through the whole model, optimiser."""
    return _learning(train_module(work), work, masked=False)


def frozen_step(work: Workload) -> Step:
    """A batch of embeddings, the target's loss, backward through the head, optimiser."""
    module = train_module(work, HeadModule, freeze_base=True)
    loader, optimizer = embedded_loader(work, work.rows), module.train().make_optimizer()

    def batches() -> Iterator[EmbeddedBatch]:
        while True:
            yield from (batch for batch in loader if len(batch.target) == work.batch_size)

    source = batches()

    def step() -> Work:
        learn(module, next(source).to(work.device), optimizer)
        return Work(work.batch_size)

    return step


def validation_step(work: Workload) -> Step:
    """A batch from the loader and all losses and metrics of pretraining, without gradients."""
    module, batches = pretrain_module(work).eval(), work.batches()

    @torch.no_grad()
    def step() -> Work:
        batch = next(batches)
        module.validation_step(batch.to(work.device), 0)
        return work.work_of(batch, 1, masked=True)

    return step


def _table_work(work: Workload) -> Work:
    study = work.subject.study
    positions = positions_of(study.asv_tokens[np.unique(study.table.counts.indices)])
    flops = forward_flops(work.model, positions, np.diff(study.table.counts.indptr))
    return Work(work.subject.samples, len(positions), int((positions - 1).sum()), flops)


def _whole_table(work: Workload, use: Callable[[TableSamples], object]) -> Step:
    samples, done = TableSamples(work.dataset, work.subject.study.asv_tokens, work.rows), _table_work(work)

    def step() -> Work:
        use(samples)
        return done

    return step


def embed_table(work: Workload) -> Step:
    """Embed the whole table."""
    encoder = work.encoder().eval()
    return _whole_table(work, lambda samples: embed_samples(encoder, samples, work.batch_size))


def predict_table(work: Workload) -> Step:
    """Predict the whole table."""
    model = work.predictor().eval()

    def predict(samples: TableSamples) -> object:
        return predict_embedded(model, embed_samples(model.base_model, samples, work.batch_size), None)

    return _whole_table(work, predict)


def encode_step(work: Workload) -> Step:
    """The ASV encoder alone, forward and backward, on the distinct ASVs of one batch that stays the same."""
    encoder, tokens = work.encoder().asv_encoder.train(), next(work.batches(False)).asv_tokens
    running = Lowered(encoder, work.compute)
    positions, moved = positions_of(tokens.numpy()), tokens.to(work.device)
    flops = FORWARD_AND_BACKWARD * encode_asvs_flops(work.model, positions)

    def step() -> Work:
        encoder.zero_grad()
        running()(moved).float().square().mean().backward()
        return Work(work.batch_size, len(positions), int((positions - 1).sum()), flops)

    return step


def unifrac_step(work: Workload) -> Step:
    """UniFrac of one batch that stays the same."""
    distance, batch = work.distance(), next(work.batches(False))

    def step() -> Work:
        distance(batch.columns, batch.counts, batch.sample_index)
        return Work(work.batch_size)

    return step


def _reference(work: Workload, backward: bool) -> Step:
    """One sample by the slow model of the tests: padded to `pad_to` ASVs, each occurrence encoded."""
    from tests.support.reference import encode_sample

    table, encoder = work.subject.study.table, work.encoder()
    sizes = np.diff(table.counts.indptr)
    row = int(np.argsort(sizes, kind="stable")[len(sizes) // 2])
    sample = table.counts[[row], :]
    kept = slice(0, work.pad_to)
    tokens = torch.from_numpy(work.subject.study.asv_tokens[sample.indices[kept]])
    counts = torch.from_numpy(sample.data[kept].astype(np.float32))

    def step() -> Work:
        with torch.set_grad_enabled(backward):
            embedding = encode_sample(encoder, tokens, counts, work.pad_to)
        if backward:
            embedding.square().mean().backward()
        return Work(1)

    return step


def reference_forward(work: Workload) -> Step:
    """One sample by the reference, forward."""
    return _reference(work, backward=False)


def reference_step(work: Workload) -> Step:
    """One sample by the reference, forward and backward."""
    return _reference(work, backward=True)


def _in_bf16(task: Callable[[Workload], Step]) -> Callable[[Workload], Step]:
    return lambda work: task(replace(work, compute=replace(work.compute, mixed_precision="bf16")))


# By the name that rows have.
TASKS: dict[str, Callable[[Workload], Step]] = {
    "pretrain, bf16": _in_bf16(pretrain_step),
    "predict, bf16": _in_bf16(predict_table),
    "pretrain": pretrain_step,
    "train": train_step,
    "train, frozen base": frozen_step,
    "validation": validation_step,
    "predict": predict_table,
    "embed": embed_table,
    "ASV encoder": encode_step,
    "unifrac": unifrac_step,
    "reference forward": reference_forward,
    "reference step": reference_step,
}
