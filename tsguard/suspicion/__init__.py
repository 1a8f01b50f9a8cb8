"""Which training samples are suspect: pure functions on arrays, testable without torch."""

from tsguard.suspicion._candidates import Candidate
from tsguard.suspicion._evidence import (
    LABEL_KEPT,
    MIN_SAMPLES,
    MIN_VALUES,
    Evidence,
    decide,
    find_evidence,
)
from tsguard.suspicion._loss_drop import (
    loss_drop_suspicion,
    loss_drop_verdict,
    split_rate,
    top_share,
)
from tsguard.suspicion._trigger_filter import (
    draw_for_filter,
    fit_trigger_filter,
    trigger_probability,
)
from tsguard.suspicion._verdict import UNKNOWN, Verdict
from tsguard.suspicion._views import Views, plain_blocks, series_views
from tsguard.suspicion._votes import nearest

__all__ = [
    "LABEL_KEPT",
    "MIN_SAMPLES",
    "MIN_VALUES",
    "UNKNOWN",
    "Candidate",
    "Evidence",
    "Verdict",
    "Views",
    "decide",
    "draw_for_filter",
    "find_evidence",
    "fit_trigger_filter",
    "loss_drop_suspicion",
    "loss_drop_verdict",
    "nearest",
    "plain_blocks",
    "series_views",
    "split_rate",
    "top_share",
    "trigger_probability",
]
