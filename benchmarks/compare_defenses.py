r"""Our baseline defenses beside their authors' own code (or a known toolbox's), on the same input.

    for repository in bboylyg/ABL zaixizhang/CBD bboylyg/NAD SCLBD/DBD SCLBD/BackdoorBench \
        damianliumin/non-adversarial_backdoor THUYimingLi/BackdoorBox \
        Trusted-AI/adversarial-robustness-toolbox; do
        git clone https://github.com/$repository CLONES/${repository#*/}
    done
    python benchmarks/compare_defenses.py --clones CLONES --data ../shared/data

It reads single functions out of the repositories, runs them and ours on one poisoned set and one
network, and writes ``docs/results/originals_defenses.json`` and ``.md``. None of their code is part
of tsguard. Only run it on clones that you trust: their functions are executed.
"""

import copy
import logging
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from _originals import functions_of, run_comparison
from _results import Row, markdown, versions_text
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from tsguard._base import TrainingSet
from tsguard._datasets import load_dataset, subsample
from tsguard._engine import Engine, Objective, Phase, Targets
from tsguard._experiment import Experiment
from tsguard._objectives import single_head
from tsguard.defenses._shared import features_of, losses_of, lowest

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "originals_defenses.json"
DATASET, N_TRAIN, RATE = "SyntheticControl", 300, 0.1
BATCH_SIZE, STEP = 20, 0.01
SHARE = 0.05
GAMMA = 0.5
# In place of what only prints: that of the originals fails on torch 2.
METERS = {
    "AverageMeter": lambda: SimpleNamespace(update=lambda *_: None, val=0, avg=0),
    "accuracy": lambda *_, **__: (torch.zeros(1), torch.zeros(1)),
}


def main() -> None:
    """Compare and write the table."""
    run_comparison(__doc__, RESULTS, compare, write_table)


def compare(clones: Path, data: Path | None) -> dict[str, Any]:
    """Return the lines of all comparisons."""
    case = Case.prepare(data)
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]  # some insist
    comparisons = (abl, cbd, nab, dbd, fine_pruning, nad, spectral, clustering, strip)
    return {"rows": [row for one in comparisons for row in one(clones, case)]}


class PlainSteps(Engine):
    """The engine with plain gradient steps of one size: AdamW's would magnify rounding."""

    def _start(self, network: nn.Module, inputs: Tensor, n_epochs: int) -> None:
        super()._start(network, inputs, n_epochs)
        self._optimizer = sgd(network)
        self._schedule = torch.optim.lr_scheduler.ConstantLR(self._optimizer, factor=1)


class Case(SimpleNamespace):
    """A poisoned set and a network that was trained on it for a while.

    Attributes
    ----------
    inputs : torch.Tensor of shape (n_samples, n_channels, n_timepoints)
    codes : torch.Tensor of shape (n_samples,)
        Given class codes.
    poisoned : ndarray of bool of shape (n_samples,)
    network : torch.nn.Module
        An FCN.
    """

    @classmethod
    def prepare(cls, data: Path | None) -> "Case":
        """Poison the set and train the network with our standard recipe, ten epochs."""
        loaded = subsample(load_dataset(DATASET, root=data), N_TRAIN, 100, random_state=0)
        settings = {"backbone": "fcn", "n_epochs": 10}
        experiment = Experiment.prepare(loaded, "patch", RATE, 0, **settings)
        victim, _, _ = experiment.run("undefended")
        made = experiment.poisoned
        return cls(
            inputs=torch.from_numpy(victim._scale(made.X)),
            codes=torch.from_numpy(np.searchsorted(victim.classes_, made.y)),
            poisoned=made.is_poisoned,
            network=victim.network_.backbone.eval(),
        )

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.codes.max()) + 1

    def copy_of_network(self) -> nn.Module:
        """Return a copy to train further."""
        return copy.deepcopy(self.network)

    def features(self) -> np.ndarray:
        """Return the penultimate features, (n_samples, n_features)."""
        return features_of(self.network, self.inputs)

    def losses(self) -> np.ndarray:
        """Return our cross-entropy of every sample, (n_samples,)."""
        data = TrainingSet(self.inputs, self.codes.numpy(), self.n_classes)
        return losses_of(self.network, data)

    def epoch_of_ours(
        self, objective: Objective, inputs: Tensor | None = None, codes: Tensor | None = None
    ) -> tuple[nn.Module, list[list[int]]]:
        """Train a copy for an epoch on one of our objectives; return it and the batches it saw."""
        batches = []

        def watched(network, batch, indices, targets):
            batches.append(indices.tolist())
            return objective(network, batch, indices, targets)

        network = self.copy_of_network()
        inputs = self.inputs if inputs is None else inputs
        codes = self.codes if codes is None else codes
        targets = Targets.from_labels(codes.numpy(), inputs.device)
        engine = PlainSteps(watched, BATCH_SIZE, STEP, 0.0, inputs.device, seed=0)
        engine.run(network, inputs, targets, [Phase("epoch", 1)])
        return network, batches

    def batches(self, rows: list[list[int]], *more: Tensor) -> DataLoader:
        """Return the same batches for code that wants a loader, with further tensors beside."""
        return DataLoader(TensorDataset(self.inputs, self.codes, *more), batch_sampler=rows)

    def moved_apart(self, theirs: nn.Module, ours: nn.Module) -> float:
        """Return the largest difference of the weights, relative to the largest change of one."""

        def distance(one: nn.Module, other: nn.Module) -> float:
            pairs = zip(one.parameters(), other.parameters(), strict=True)
            return max(float((a - b).detach().abs().max()) for a, b in pairs)

        return distance(theirs, ours) / distance(theirs, self.network)


def sgd(network: nn.Module) -> torch.optim.Optimizer:
    """Return the plain optimiser that both get."""
    return torch.optim.SGD(network.parameters(), STEP)


def weights_row(
    defense: str, source: str, what: str, case: Case, theirs: nn.Module, ours: nn.Module
) -> Row:
    """Return the line of two networks that were trained for an epoch."""
    n_weights = sum(one.numel() for one in theirs.parameters())
    what = f"weights after an epoch{what}"
    return row(defense, source, what, n_weights, difference=case.moved_apart(theirs, ours))


def row(defense: str, source: str, what: str, n: int, **result: float) -> Row:
    """Return a line of the table; ``result`` is ``difference`` or ``agreement``."""
    parts = source.split("/")
    beside = f"{parts[0]}, {parts[-1]}"
    return {"defense": defense, "beside": beside, "what": what, "n": n, **result}


def agreement(theirs: np.ndarray, ours: np.ndarray) -> float:
    """Return the share of equal entries."""
    return float((np.asarray(theirs) == np.asarray(ours)).mean())


def difference(theirs: np.ndarray | Tensor, ours: np.ndarray | Tensor) -> float:
    """Return the largest difference, relative to the largest value of theirs."""
    theirs, ours = np.asarray(theirs, np.float64), np.asarray(ours, np.float64)
    return float(np.abs(theirs - ours).max() / np.abs(theirs).max())


def abl(clones: Path, case: Case) -> Iterable[Row]:
    """Compare both losses of the first phase, and the order in which samples are isolated."""
    from tsguard.defenses._abl import held_up

    source = "ABL/backdoor_isolation.py"
    quiet = {"tqdm": lambda batches: batches, "print": lambda *_: None}
    original = functions_of(
        clones / source, ["compute_loss_value", "train_step"], **METERS, **quiet
    )
    for form in ("LGA", "Flooding"):
        options = SimpleNamespace(
            cuda=False, gradient_ascent_type=form, gamma=GAMMA, flooding=GAMMA, print_freq=10**9
        )
        ours, rows = case.epoch_of_ours(held_up(form.lower(), GAMMA))
        theirs = case.copy_of_network()
        criterion = nn.CrossEntropyLoss()
        original["train_step"](options, case.batches(rows), theirs, sgd(theirs), criterion, 0)
        yield weights_row("abl", source, f" of {form}", case, theirs, ours)
    samples = TensorDataset(case.inputs, case.codes)
    order = original["compute_loss_value"](SimpleNamespace(cuda=False), samples, case.network)
    ours = np.argsort(case.losses(), kind="stable")
    what = "samples isolated first, in order"
    n_isolated = int(SHARE * len(ours))
    same = agreement(order[:n_isolated], ours[:n_isolated])
    yield row("abl", source, what, n_isolated, agreement=same)


class WithHidden(nn.Module):
    """A network that can also be asked for its features, as the code of CBD does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, with_hidden: bool = False) -> Any:
        """Return the logits, or logits and something for the features."""
        logits = self.network(x)
        return (logits, logits) if with_hidden else logits


def cbd(clones: Path, case: Case) -> Iterable[Row]:
    """Compare the weights of the samples, by what they do to the second network."""
    from tsguard.defenses._cbd import reweighted

    source = "CBD/train.py"
    original = functions_of(clones / source, ["train_step_clean"], **METERS)
    options = SimpleNamespace(cuda=False, device="cpu", disentangle=False, print_freq=10**9)
    confounded = torch.as_tensor(case.losses(), dtype=torch.float32)
    ours, rows = case.epoch_of_ours(reweighted(confounded))
    theirs = case.copy_of_network()
    original["train_step_clean"](
        options,
        case.batches(rows, case.codes),
        WithHidden(theirs),
        WithHidden(case.network),
        lambda *_: torch.zeros(()),
        sgd(theirs),
        None,
        nn.CrossEntropyLoss(),
        0,
    )
    yield weights_row("cbd", source, "", case, theirs, ours)


class Mirrored(nn.Module):
    """A network of series for code that wants images and stamps their first corner."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images (N, C, T, 1) whose time runs backwards."""
        return self.network(x[..., 0].flip(2))


def nab(clones: Path, case: Case) -> Iterable[Row]:
    """Compare who is a suspect, and a training on stamped and relabelled suspects."""
    from tsguard.defenses import NABClassifier

    folder = "non-adversarial_backdoor"
    source = f"{folder}/backdoor_detection_lga.py"
    original = functions_of(clones / source, ["isolation"], print=lambda *_: None)
    numbers = torch.arange(len(case.codes))
    poisoned = torch.from_numpy(case.poisoned)
    with tempfile.TemporaryDirectory() as kept:
        options = SimpleNamespace(
            device="cpu", save_dir=Path(kept), data_name="series", attack="patch"
        )
        everybody = case.batches([numbers.tolist()], case.codes, poisoned, numbers)
        original["isolation"](case.network, everybody, options)
        theirs = torch.load(Path(kept) / f"series_patch_{SHARE:.2f}_lga").numpy()
    suspects = lowest(case.losses(), SHARE)
    same = agreement(theirs, suspects)
    yield row("nab", source, f"who is isolated at {SHARE:.0%}", len(suspects), agreement=same)

    source = f"{folder}/train_nab.py"
    original = functions_of(clones / source, ["train"])
    pseudo = torch.from_numpy(np.random.default_rng(0).integers(case.n_classes, size=len(numbers)))
    isolated = torch.from_numpy(suspects)
    n_timepoints = case.inputs.shape[2]
    defense = NABClassifier("fcn", stamp_length=2 / n_timepoints)
    defense.n_timepoints_ = n_timepoints
    codes = torch.where(isolated, pseudo, case.codes)
    stamped = defense._stamp(case.inputs, (codes != case.codes).numpy())
    ours, rows = case.epoch_of_ours(single_head, stamped, codes)
    images = case.inputs.flip(2)[..., None].clone()
    samples = TensorDataset(images, case.codes.clone(), case.codes, poisoned, numbers)
    batches = DataLoader(samples, batch_sampler=rows)
    network = Mirrored(case.copy_of_network())
    criterion = nn.CrossEntropyLoss()
    original["train"](network, batches, criterion, sgd(network), "cpu", pseudo, isolated, None)
    yield weights_row("nab", source, "", case, network.network, ours)


def dbd(clones: Path, case: Case) -> Iterable[Row]:
    """Compare the contrastive loss, and who is trusted after the second step."""
    from tsguard.defenses._contrast import contrastive_losses

    source = "DBD/model/loss.py"
    names = ["SimCLRLoss", "RCELoss", "SCELoss"]
    original = functions_of(clones / source, names, F=functional)
    rng = np.random.default_rng(0)
    views = torch.from_numpy(rng.normal(size=(2, 64, 32)).astype(np.float32))
    first, second = functional.normalize(views, dim=2)
    criterion = original["SimCLRLoss"](temperature=0.5, reduction="none")
    # Theirs asks for the partners of the first views, ours for those of both.
    theirs = [criterion(torch.stack(pair, 1)) for pair in ((first, second), (second, first))]
    ours = contrastive_losses(views.reshape(128, 32), 0.5)
    what = "contrastive losses, both directions"
    apart = difference(torch.stack(theirs).mean(0), ours)
    yield row("dbd", source, what, len(ours), difference=apart)

    source = "DBD/data/utils.py"
    original |= functions_of(clones / source, ["get_semi_idx"])
    with torch.no_grad():
        logits = case.network(case.inputs)
        symmetric = original["SCELoss"](num_classes=case.n_classes, reduction="none")
        losses = symmetric(logits, case.codes)
    records = [
        SimpleNamespace(name="loss", data=losses),
        SimpleNamespace(name="poison", data=torch.from_numpy(case.poisoned)),
    ]
    theirs = original["get_semi_idx"](records, 0.5, logging.getLogger("silent")) == 1
    ours = lowest(case.losses(), 0.5)  # of one class; ours takes the share of every class
    what = "who is trusted (theirs by the symmetric loss)"
    yield row("dbd", source, what, len(ours), agreement=agreement(theirs, ours))


class Flat(nn.Module):
    """A network with a ``layer`` whose output is that of images, (N, F, T, 1)."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self.network = network
        network.get_submodule(layer).register_forward_hook(
            lambda module, inputs, output: self.layer(output[..., None])[..., 0]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return self.network(x)


def fine_pruning(clones: Path, case: Case) -> Iterable[Row]:
    """Compare which channels are cut off first."""
    from tsguard.defenses._fine_pruning import dormant_first

    source = "BackdoorBox/core/defenses/Pruning.py"
    names = ["MaskedLayer", "Pruning.repair"]
    original = functions_of(clones / source, names, print=lambda *_: None)
    ours = dormant_first(case.network, case.inputs)
    for rate in (0.25, 0.5, 0.75):
        pruning = SimpleNamespace(
            model=Flat(case.copy_of_network(), "convblock3"),
            layer="layer",
            prune_rate=rate,
            train_dataset=TensorDataset(case.inputs, case.codes),
        )
        schedule = {"device": "CPU", "batch_size": BATCH_SIZE, "num_workers": 0}
        original["Pruning.repair"](pruning, schedule)
        kept = pruning.model.layer.mask.flatten().numpy()
        pruned = np.ones(len(kept))
        pruned[ours[: int(rate * len(ours))]] = 0
        what = f"channels pruned at {rate:.0%}"
        yield row("fine_pruning", source, what, len(kept), agreement=agreement(kept, pruned))


def nad(clones: Path, case: Case) -> Iterable[Row]:
    """Compare the difference of the attention of two networks."""
    from tsguard.defenses._nad import attention
    from tsguard.models._two_heads import record_outputs

    source = "NAD/at.py"
    original = functions_of(clones / source, ["AT"], F=functional)["AT"](p=2)
    other, _ = case.epoch_of_ours(single_head)
    stages = ["convblock1", "convblock2", "convblock3"]
    with torch.no_grad():
        outputs = [record_outputs(one, stages, case.inputs) for one in (case.network, other)]
    for stage in stages:
        student, teacher = (one[stage] for one in outputs)
        theirs = original(student[..., None], teacher[..., None])
        ours = functional.mse_loss(attention(student, 2.0), attention(teacher, 2.0))
        what = f"difference of attention, {stage}"
        yield row("nad", source, what, len(case.inputs), difference=difference(theirs, ours))


def spectral(clones: Path, case: Case) -> Iterable[Row]:
    """Compare outlier scores of one class."""
    from tsguard.defenses._spectral import spectral_scores

    folder = "adversarial-robustness-toolbox/art/defences/detector/poison"
    source = f"{folder}/spectral_signature_defense.py"
    name = "SpectralSignatureDefense.spectral_signature_scores"
    original = functions_of(clones / source, [name])[name]
    features = case.features()[case.codes.numpy() == 0]
    ours = spectral_scores(features)
    n_dropped = int(0.15 * len(ours))
    highest = set(np.argsort(-ours)[:n_dropped])
    for what, given in (
        ("features centred before", features - features.mean(axis=0)),
        ("features as they are", features),
    ):
        theirs = original(given)[:, 0] ** 2
        yield row(
            "spectral", source, f"scores, {what}", len(ours), difference=difference(theirs, ours)
        )
        same = len(highest & set(np.argsort(-theirs)[:n_dropped])) / n_dropped
        yield row("spectral", source, f"who is dropped, {what}", n_dropped, agreement=same)


def clustering(clones: Path, case: Case) -> Iterable[Row]:
    """Compare the two clusters of every class, and whether one of them is called poison."""
    from sklearn.cluster import KMeans, MiniBatchKMeans

    from tsguard.defenses import ActivationClusteringClassifier
    from tsguard.defenses._clustering import two_clusters

    folder = "adversarial-robustness-toolbox/art/defences/detector/poison"
    source = f"{folder}/activation_defence.py"
    known = {
        "KMeans": lambda n_clusters: KMeans(n_clusters, n_init=10, random_state=0),
        "MiniBatchKMeans": MiniBatchKMeans,
        "DataGenerator": object,
        "logger": logging.getLogger("silent"),
    }
    original = functions_of(
        clones / source, ["cluster_activations", "reduce_dimensionality"], **known
    )
    analyser = functions_of(
        clones / folder / "clustering_analyzer.py", ["ClusteringAnalyzer"], **known
    )["ClusteringAnalyzer"]()
    features, codes = case.features(), case.codes.numpy()
    same, verdicts = [], []
    settings = ActivationClusteringClassifier()
    for code in range(case.n_classes):
        members = features[codes == code]
        # Ours takes at most one dimension for five members.
        n_dims = min(10, len(members) // 5)
        clusters, reduced = original["cluster_activations"]([members], 2, n_dims, "PCA")
        smaller, silhouette = two_clusters(members, 10, seed=0)
        theirs = clusters[0] == (np.bincount(clusters[0]).argmin())
        same.append(max(agreement(theirs, smaller), agreement(~theirs, smaller)))  # even halves
        _, _, report = analyser.analyze_by_silhouette_score(clusters, reduced)
        ours = (
            silhouette.mean() >= settings.min_silhouette
            and 0 < smaller.mean() <= settings.max_share
        )
        verdicts.append(report["class_0"]["suspicious"] == ours)
    what = "who is in the smaller cluster, worst class"
    yield row("clustering", source, what, len(codes), agreement=min(same))
    what = "classes called poisoned or not"
    yield row("clustering", source, what, len(verdicts), agreement=float(np.mean(verdicts)))


class FixedOverlays:
    """In place of a random generator: every sample gets the same overlays, one after the other."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = iter(rows)

    def integers(self, n_samples: int, size: int) -> np.ndarray:
        """Return the next overlay for all samples."""
        return np.full(size, next(self.rows))


def strip(clones: Path, case: Case) -> Iterable[Row]:
    """Compare the mean entropy under overlays."""
    from tsguard.defenses._strip import overlay_entropy

    source = "BackdoorBench/detection_infer/strip.py"
    options = SimpleNamespace(device="cpu")
    original = functions_of(clones / source, ["STRIP"], random=random, args=options)["STRIP"]
    n_overlays = 20
    samples = TensorDataset(case.inputs, case.codes)
    random.seed(0)
    rows = list(range(len(samples)))
    random.shuffle(rows)
    random.seed(0)
    inspection = original(options, samples, samples, case.network, strip_alpha=1.0, N=n_overlays)
    theirs = inspection.check(case.inputs, case.codes, samples).numpy()
    overlays = FixedOverlays(rows[:n_overlays])
    bits = overlay_entropy(case.network, case.inputs, n_overlays, overlays)
    what = "entropies (theirs in nats)"
    apart = difference(theirs, bits * np.log(2))
    yield row("strip", source, what, len(bits), difference=apart)


TEXT = """# Our baseline defenses beside their authors' code

Written by `python benchmarks/compare_defenses.py`, from `originals_defenses.json`; do not edit.
{device}; {versions}.

One poisoned set ({dataset}, {n_train} series, {rate:.0%} patch) and one FCN after ten epochs were
given to functions of the published code and to ours. *Difference*: the largest, relative to the
largest value; of weights after an epoch of plain gradient steps (batches of {batch_size}, step
{step}), relative to the largest change of a weight. *Agreement*: share of equal entries.

{table}

What is not the same, on purpose:

- **DBD**: the authors trust the samples of lowest *symmetric* cross-entropy in the whole set, ours
  those of lowest cross-entropy in every class; compared here as if there were one class.
- **Spectral signatures**: the toolbox takes the direction from centred features, as the paper says,
  but projects the features as they are; the paper, and ours, project the centred ones.
- **Activation clustering**: the toolbox always keeps ten dimensions, ours one for five members, if
  that is fewer; the toolbox was given our number. Compared is the verdict in its report (the table
  that it returns beside the report is empty where a class is suspicious).
- **STRIP**: BackdoorBench adds half of the overlay by default; the paper, and ours, all of it.
- **Fine-pruning** is compared by its order; how much accuracy may be lost and the fine-tuning are
  ours.
- **Confident learning** is the cleanlab package itself; a test compares the two.
"""


def write_table(results: dict[str, Any]) -> None:
    """Write the results as Markdown."""
    table = pd.DataFrame(results["rows"])
    table["difference"] = table["difference"].map("{:.1e}".format, na_action="ignore")
    table["agreement"] = (100 * table["agreement"]).map("{:.1f} %".format, na_action="ignore")
    RESULTS.with_suffix(".md").write_text(
        TEXT.format(
            device=results["device"],
            versions=versions_text(results["versions"]),
            dataset=DATASET,
            n_train=N_TRAIN,
            rate=RATE,
            batch_size=BATCH_SIZE,
            step=STEP,
            table=markdown(table),
        )
    )


if __name__ == "__main__":
    main()
