"""Pictures of a fit: what was suspected, and how training went for it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tsguard._e2abl import E2ABLClassifier

CLEAN, POISONED = "#4477aa", "#cc3311"  # distinct for all kinds of colour vision


def plot_suspicion(
    classifier: "E2ABLClassifier", is_poisoned: NDArray[np.bool_] | None = None
) -> "Figure":
    """Draw the suspicion of every training sample, by the class it was given.

    Parameters
    ----------
    classifier : E2ABLClassifier
        Fitted.
    is_poisoned : ndarray of bool of shape (n_samples,), optional
        The truth where it is known (in experiments): poisoned samples are marked.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure: Figure = new_figure()
    axes = figure.subplots()
    report = classifier.sample_report_
    order = np.argsort(report["given_label"].to_numpy(), kind="stable")
    place = np.empty(len(order))
    place[order] = np.arange(len(order))
    for mask, colour, marker, label in _groups(len(report), is_poisoned):
        axes.scatter(
            place[mask], classifier.suspicion_[mask], s=14, c=colour, marker=marker, label=label
        )
    isolated = classifier.suspect_mask_
    axes.scatter(
        place[isolated],
        classifier.suspicion_[isolated],
        s=60,
        facecolors="none",
        edgecolors="black",
        linewidths=0.8,
        label=f"isolated ({int(isolated.sum())})",
    )
    counts = report["given_label"].value_counts().sort_index()
    ends = np.cumsum(counts.to_numpy())
    for end in ends[:-1]:
        axes.axvline(end - 0.5, color="0.85", linewidth=0.8, zorder=0)
    if len(counts) <= 20:
        axes.set_xticks(ends - counts.to_numpy() / 2, [str(label) for label in counts.index])
    axes.set(
        xlabel="training series, by given label",
        ylabel="suspicion (0 to 1, higher = more suspicious)",
        title="Suspicion of every training series",
        ylim=(-0.05, 1.05),
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def plot_losses(
    classifier: "E2ABLClassifier", is_poisoned: NDArray[np.bool_] | None = None
) -> "Figure":
    """Draw the losses of both heads over the epochs, for clean and poisoned samples.

    The losses are against the given labels: a main head that stays clean keeps a high loss on
    poisoned samples, while the trap head learns them.

    Parameters
    ----------
    classifier : E2ABLClassifier
        Fitted.
    is_poisoned : ndarray of bool of shape (n_samples,), optional
        The truth where it is known (in experiments).

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure: Figure = new_figure()
    panels = figure.subplots(1, 2, sharey=True)
    n_samples = len(classifier.suspicion_)
    for axes, record, title in zip(
        panels, ("main_loss", "trap_loss"), ("main head", "trap head"), strict=True
    ):
        losses = classifier.records_[record]
        epochs = np.arange(1, len(losses) + 1)
        for mask, colour, _, label in _groups(n_samples, is_poisoned):
            if mask.any():
                low, middle, high = np.quantile(losses[:, mask], [0.25, 0.5, 0.75], axis=1)
                axes.plot(epochs, middle, color=colour, label=label)
                axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set(xlabel="epoch", title=title)
    panels[0].set_ylabel("loss against the given label (nats)\nmedian, middle half")
    panels[1].legend(frameon=False)
    return figure


def _groups(
    n_samples: int, is_poisoned: NDArray[np.bool_] | None
) -> list[tuple[NDArray[np.bool_], str, str, str]]:
    """Return mask, colour, marker and name of the groups to draw."""
    if is_poisoned is None:
        return [(np.ones(n_samples, bool), CLEAN, "o", "training series")]
    return [
        (~is_poisoned, CLEAN, "o", f"clean ({int((~is_poisoned).sum())})"),
        (is_poisoned, POISONED, "^", f"poisoned ({int(is_poisoned.sum())})"),
    ]


def new_figure() -> Any:
    """Return an empty figure, or say how to install what draws it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "matplotlib must be installed for plots; run `pip install tsguard[plot]`."
        ) from error
    # A Figure of its own, without pyplot: no window, no global state.
    return Figure(figsize=(9, 4.2), dpi=120, layout="constrained")
