"""``tsguard scan``: audit a file, train on it, say what was found, write it down."""

import math
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tsguard._atomic import explain, folder_in_one_go
from tsguard._random import resolve_seed
from tsguard._scan._decisions import Decision, Reviewed, apply_decisions, read_decisions
from tsguard._scan._finding import Finding, audit, finding_of
from tsguard._scan._folder import check_replaceable
from tsguard._tables import (
    Options,
    SeriesFile,
    Values,
    named_columns,
    open_reader,
    series_of,
)
from tsguard._validation import Panel, to_panel

if TYPE_CHECKING:
    from tsguard._e2abl import E2ABLClassifier

Say = Callable[[str], object]

FIRST, AGAIN = "training", "training-again"  # what a checkpoint holds of the fits of a scan


@dataclass(frozen=True, eq=False)
class Losses:
    """Median loss of both heads against the given labels, per epoch, in nats.

    Attributes
    ----------
    main, trap : dict of str to ndarray of shape (n_epochs,)
        For "suspects" (where there are any) and "others".
    """

    main: dict[str, NDArray[np.float64]]
    trap: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """All that a scan has found out, before it is written.

    Attributes
    ----------
    source : SeriesFile
    panel : ndarray of shape (n_left, n_channels, n_timepoints)
        The series that were analysed: those that the reviewer did not drop.
    reviewed : Reviewed
        Which ones these are, and their labels.
    decisions : list of Decision
    finding : Finding
        One entry per series of ``panel``.
    classifier : E2ABLClassifier or None
    losses : Losses or None
    overruled : int
        Reviewed series that the defense would have accused or withheld.
    settings : dict
    seconds : dict of str to float
    """

    source: SeriesFile
    panel: Panel
    reviewed: Reviewed
    decisions: list[Decision]
    finding: Finding
    classifier: "E2ABLClassifier | None"
    losses: Losses | None
    overruled: int
    settings: dict[str, Any]
    seconds: dict[str, float]

    @property
    def suspects(self) -> NDArray[np.intp]:
        """Places of the suspects in ``panel``, most suspicious first."""
        found = np.flatnonzero(self.finding.suspect)
        return found[np.argsort(-self.finding.suspicion[found], kind="stable")]


def scan(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    decisions: str | os.PathLike[str] | None = None,
    train: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    label_column: str | int | None = None,
    id_column: str | int | None = None,
    time_column: str | int | None = None,
    ignore: Sequence[str | int] = (),
    random_state: int = 0,
    verbose: bool = False,
    say: Say | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    """Look for a backdoor in a file of labelled series, and train a model that is free of it.

    The command ``tsguard scan``; ``docs/scan.md`` describes formats, results and the review.

    Parameters
    ----------
    data : str or path
        A .ts, .tsv, .txt, .arff, .npz, .csv or .parquet file.
    out : str or path
        Folder to write to: new, empty, or an earlier scan, which is replaced.
    labels : str or path, optional
        File beside the data that holds the labels; default: the data's own, else
        ``<name>_labels.csv`` beside it.
    decisions : str or path, optional
        A reviewer's decisions (index, decision, label), which are obeyed.
    train : bool, default=True
        Whether to train a model; without, the audit alone is written.
    checkpoint : str or path, optional
        Folder in which the training is kept between epochs: after an interruption, the same call
        goes on from there. What is kept is removed once the report is written.
    label_column, id_column, time_column : str or int, optional
        Columns of a table, by name or by number from 1, where they are not detected.
    ignore : sequence of str or int, optional
        Columns of a table to leave aside.
    random_state : int, default=0
        Seed of audit and training.
    verbose : bool, default=False
        Show a progress bar of the training.
    say : callable, optional
        Called with a line of text when a stage begins.
    **parameters
        Of :class:`tsguard.E2ABLClassifier`, such as ``backbone``, ``n_epochs`` and ``device``.

    Returns
    -------
    dict
        What ``report.json`` holds.

    Raises
    ------
    OSError
        If a file can't be read or the folder can't be written.
    ValueError
        If the data, the decisions or a parameter are wrong.
    ImportError
        If a package for the data's format is missing.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tsguard import load_dataset, scan
    >>> train = load_dataset("ItalyPowerDemand")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = Path(folder) / "power.npz"
    ...     np.savez(data, X=train.X_train, y=train.y_train)
    ...     report = scan(data, Path(folder) / "out", train=False)
    >>> report["verdict"].partition(":")[0]
    'Nothing suspicious found'
    """
    from tsguard._scan._report import write_report

    say = say or (lambda _: None)
    columns = named_columns(
        ignore, label_column=label_column, id_column=id_column, time_column=time_column
    )
    options = Options(_path(labels), **columns)
    inputs = [_path(one) for one in (data, labels, decisions)]
    target = Path(out).expanduser().resolve()  # of a link: what it points to
    check_replaceable(target, inputs, decisions is not None)
    reader = open_reader(data, options)  # what is wrong with it is said before anything else
    say(f"reading {data}")
    source = series_of(reader, options)
    decided = [] if decisions is None else read_decisions(Path(decisions), source.labels)
    reviewed = apply_decisions(decided, source.labels)
    check_classes(source, reviewed)
    random_state = resolve_seed(random_state)
    settings = {"train": train, "random_state": random_state, **parameters}
    if train:
        check_parameters(parameters)
    kept = check_checkpoint(checkpoint, target, train=train)
    try:
        with folder_in_one_go(target) as folder:  # made first: a bad place must not cost minutes
            outcome = _analyse(
                source, reviewed, decided, settings, say, verbose=verbose, checkpoint=kept
            )
            say("writing the report")
            report = write_report(outcome, folder, Path(out))
    except OSError as error:
        raise explain(error, "out") from error
    if kept is not None:
        _remove_checkpoint(kept)
    return report


def check_classes(source: SeriesFile, reviewed: Reviewed) -> None:
    """Refuse data that no classifier can be trained on."""
    classes = np.unique(reviewed.labels).tolist()
    if len(classes) < 2:
        got = f"one class ({classes[0]!r})" if classes else "no series"
        left = " after the decisions" if len(reviewed.rows) < len(source.labels) else ""
        raise ValueError(
            f"{source.path} must hold series of at least two classes, got {got}{left}; add series "
            "of another class, or check which column is the label."
        )
    if 2 < len(classes) == len(reviewed.labels):
        raise ValueError(
            f"{source.path} must hold several series of a class, got {len(classes)} labels for "
            f"{len(classes)} series; check which column is the label."
        )
    fractions = [one for one in classes if _is_fraction(one)]
    if len(fractions) > len(classes) / 2:
        raise ValueError(
            f"{source.path} must have classes as labels, got numbers such as {fractions[0]!r}; "
            "check which column is the label, or put the numbers into classes."
        )


def _is_fraction(label: Any) -> bool:
    """Say whether a label is a number, or the text of one, between two whole ones."""
    try:
        number = float(label)
    except (TypeError, ValueError):
        return False
    return math.isfinite(number) and not number.is_integer()


def check_parameters(parameters: dict[str, Any]) -> None:
    """Refuse parameters of the classifier before anything is written or trained."""
    from tsguard._device import resolve_device
    from tsguard._e2abl import E2ABLClassifier
    from tsguard.models import check_backbone

    classifier = E2ABLClassifier(**parameters)
    classifier._validate_params()
    if isinstance(classifier.backbone, str):
        check_backbone(classifier.backbone)
    resolve_device(classifier.device)


def check_checkpoint(
    checkpoint: str | os.PathLike[str] | None, out: Path, *, train: bool
) -> Path | None:
    """Return where to keep the training; refuse a place that would be lost or not be used."""
    if checkpoint is None:
        return None
    if not train:
        raise ValueError(
            f"checkpoint must be left out where nothing is trained, got {checkpoint}; an audit "
            "starts anew."
        )
    folder = Path(checkpoint).expanduser().absolute()
    if out in (folder, *folder.parents):
        raise FileExistsError(
            f"checkpoint must not be inside out, got {checkpoint}; choose another folder."
        )
    return folder


def _remove_checkpoint(folder: Path) -> None:
    """Remove what the trainings of a scan have kept, and the folder if nothing else is in it."""
    for name in (FIRST, AGAIN):
        shutil.rmtree(folder / name, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


def _analyse(
    source: SeriesFile,
    reviewed: Reviewed,
    decisions: list[Decision],
    settings: dict[str, Any],
    say: Say,
    *,
    verbose: bool,
    checkpoint: Path | None,
) -> Outcome:
    start = time.perf_counter()
    panel = to_panel([source.series[row] for row in reviewed.rows])
    say(f"{len(panel)} series of {panel.shape[1]} channel(s), {source.layout}")
    classifier, losses = None, None
    if settings["train"]:
        say("training (the audit comes first, without a progress bar)")
        parameters = {k: v for k, v in settings.items() if k != "train"}
        classifier, finding, losses, overruled = _trained(
            panel, reviewed, parameters, verbose, checkpoint
        )
    else:
        say("auditing")
        finding = audit(panel, reviewed.labels, settings["random_state"])
        overruled = int((reviewed.decided & _doubted(finding)).sum())
        finding = finding.cleared(reviewed.decided, reviewed.relabelled)
    seconds = {"analysis": round(time.perf_counter() - start, 1)}
    return Outcome(
        source,
        panel,
        reviewed,
        decisions,
        finding,
        classifier,
        losses,
        overruled,
        settings,
        seconds,
    )


def _trained(
    panel: Panel,
    reviewed: Reviewed,
    parameters: dict[str, Any],
    verbose: bool,
    checkpoint: Path | None,
) -> tuple["E2ABLClassifier", Finding, Losses, int]:
    """Train, and once more on the reviewer's word where the defense would not take it."""
    from tsguard._e2abl import E2ABLClassifier

    classifier = E2ABLClassifier(**parameters, verbose=verbose)
    classifier.fit(panel, reviewed.labels, checkpoint=checkpoint and checkpoint / FIRST)
    finding = finding_of(classifier)
    overruled = reviewed.decided & _doubted(finding)
    if not overruled.any():
        return classifier, finding, losses_of(classifier, finding.suspect), 0
    # Left to itself, the training would teach these series something else than the reviewer said.
    finding = finding.cleared(reviewed.decided, reviewed.relabelled)
    kept = (~finding.suspect | finding.told) & ~finding.withheld
    classifier = E2ABLClassifier(**{**parameters, "isolation_rate": 0.0}, verbose=verbose)
    again = checkpoint and checkpoint / AGAIN
    classifier.fit(panel[kept], finding.labels[kept], checkpoint=again)
    return classifier, finding, losses_of(classifier, finding.suspect[kept]), int(overruled.sum())


def _doubted(finding: Finding) -> NDArray[np.bool_]:
    doubted: NDArray[np.bool_] = finding.suspect | finding.withheld
    return doubted


def losses_of(classifier: "E2ABLClassifier", suspect: NDArray[np.bool_]) -> Losses:
    """Return the median losses of a training, suspects apart from the others."""
    groups = {"suspects": suspect, "others": ~suspect}
    return Losses(
        *(
            {
                name: np.median(classifier.records_[f"{head}_loss"][:, mask], axis=1)
                for name, mask in groups.items()
                if mask.any()
            }
            for head in ("main", "trap")
        )
    )


def lengths_and_gaps(series: list[Values]) -> tuple[list[int], int]:
    """Return the shortest and the longest length, and how many series have missing values.

    Missing values at the end are a shorter length.
    """
    lengths, gaps = [], 0
    for one in series:
        known = np.flatnonzero(~np.isnan(one).all(axis=0))
        length = int(known[-1]) + 1
        lengths.append(length)
        gaps += bool(np.isnan(one[:, :length]).any())
    return [min(lengths), max(lengths)], gaps


def versions(*, trained: bool) -> dict[str, str]:
    """Return the versions that a scan depends on."""
    names = ("tsguard", "numpy", "aeon", *(("torch", "tsai") if trained else ()))
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _path(value: str | os.PathLike[str] | None) -> Path | None:
    return None if value is None else Path(value)
