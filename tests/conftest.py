"""Shared fixtures: small problems that train in a second."""

import os
import sys

import numpy as np
import pytest
import torch

from tsguard.attacks import _base

# Tiny networks gain nothing from threads and suffer from every other process on the machine.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def waves():
    """Three classes of noisy sine waves: X (60, 2, 24) float32 and string labels."""
    rng = np.random.default_rng(0)
    codes = np.arange(60) % 3
    time = np.linspace(0, 2 * np.pi, 24)
    X = np.sin(time * (codes + 1)[:, None, None]) + rng.normal(0, 0.2, (60, 2, 24))
    return X.astype(np.float32), np.array(["slow", "medium", "fast"])[codes]


@pytest.fixture
def nothing_stays(monkeypatch, tmp_path_factory):
    """Modules and triggers that a test imports are forgotten after it."""
    monkeypatch.setattr(_base, "_KINDS", dict(_base._KINDS))
    before, written = set(sys.modules), str(tmp_path_factory.getbasetemp())
    yield
    for name in set(sys.modules) - before:
        # Only a test's own: installed packages can't all be imported twice.
        place = getattr(sys.modules[name], "__file__", None) or ""
        if name.startswith("tsguard_plugin_") or place.startswith(written):
            del sys.modules[name]
