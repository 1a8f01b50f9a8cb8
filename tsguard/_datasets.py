"""Real data sets by name: found in folders, in aeon's bundle, or downloaded by aeon."""

import importlib.util
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsguard._dataset_files import is_regression, read_part
from tsguard._exceptions import DatasetNotFoundError
from tsguard._validation import Panel
from tsguard._values import near_names

# In order of preference where a folder holds one set in several formats.
_PAIR_SUFFIXES = (".ts", ".tsv", ".txt", ".arff")

# The files of one data set: train and test file, or the one .npz file.
_Files = tuple[Path, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A classification data set with the archive's own split.

    Attributes
    ----------
    X_train, X_test : ndarray of float32 of shape (n_samples, n_channels, n_timepoints)
        Series in the unit of the archive (many UCR sets are z-scored).
    y_train, y_test : ndarray of shape (n_samples,)
        Labels as the archive has them.
    classes : ndarray of shape (n_classes,)
        Sorted distinct labels of both parts.
    name : str
    """

    X_train: Panel
    y_train: NDArray[Any]
    X_test: Panel
    y_test: NDArray[Any]
    classes: NDArray[Any]
    name: str

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.X_train.shape[1])

    @property
    def n_timepoints(self) -> int:
        """Length of every series."""
        return int(self.X_train.shape[2])

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, X_train {self.X_train.shape}, X_test {self.X_test.shape}, "
            f"{self.n_classes} classes)"
        )


def load_dataset(
    name: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
) -> Dataset:
    """Load a data set by name or path.

    Looks, in this order, at: `name` as a path; `root`; the folder ``$TSGUARD_DATA``; ``./data``;
    the sets that come with aeon; earlier downloads; aeon's download, for names of the UCR and UEA
    archives. Case does not matter. A folder may hold ``<name>/``, ``ts/<name>/``,
    ``npz/<name>.npz``, ``<name>.npz`` or pairs ``<name>_TRAIN`` and ``<name>_TEST`` with suffix
    .ts, .tsv, .txt or .arff.

    Series of unequal length and missing values get the treatment of :func:`tsguard.to_panel`; the
    length of the result is that of the longest training series.

    Parameters
    ----------
    name : str or path
        Name such as ``"ECG5000"``, or a folder, a ``.npz`` file, or one file of a pair.
    root : str or path, optional
        Folder to look in first.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetNotFoundError
        If there is no such data set, or it could not be downloaded.
    ValueError
        If a file is malformed, or `root` is no folder.

    Examples
    --------
    >>> load_dataset("UnitTest")
    Dataset('UnitTest', X_train (20, 1, 24), X_test (22, 1, 24), 2 classes)
    """
    roots = _search_roots(root)
    files = _files_at(Path(name).expanduser())
    if files is None:
        files = _find(str(name), roots) or _download(str(name), roots)
    return _read(files)


def list_datasets(root: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names that :func:`load_dataset` finds without a network.

    Parameters
    ----------
    root : str or path, optional
        A further folder to look in.

    Returns
    -------
    list of str
        Sorted names.
    """
    return sorted({name for folder in _search_roots(root) for name in _scan(folder)})


def subsample(
    dataset: Dataset,
    n_train: int,
    n_test: int,
    random_state: int | np.random.RandomState | None = None,
) -> Dataset:
    """Draw a smaller data set; classes keep their shares and none is lost.

    Parameters
    ----------
    dataset : Dataset
    n_train, n_test : int
        Sizes wanted; a part that is not larger is kept whole. At least one per class.
    random_state : int, RandomState or None
        Seed of the draw.

    Returns
    -------
    Dataset
        Series in their original order.

    Raises
    ------
    ValueError
        If a size is smaller than the number of classes in that part.
    """
    from tsguard._random import numpy_stream, resolve_seed

    seed = resolve_seed(random_state)
    train = _stratified(dataset.y_train, n_train, "n_train", numpy_stream(seed, "subsample train"))
    test = _stratified(dataset.y_test, n_test, "n_test", numpy_stream(seed, "subsample test"))
    return Dataset(
        dataset.X_train[train],
        dataset.y_train[train],
        dataset.X_test[test],
        dataset.y_test[test],
        dataset.classes,
        dataset.name,
    )


def _stratified(
    y: NDArray[Any], size: int, name: str, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return sorted row numbers, at least one per class, in proportion otherwise."""
    if size >= len(y):
        return np.arange(len(y))
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if size < len(counts):
        raise ValueError(
            f"{name} must be at least the number of classes, {len(counts)}, got {size}; "
            "ask for more series."
        )
    quota = np.maximum(1, np.floor(counts * size / len(y)).astype(int))
    while quota.sum() != size:  # rounding, and the floor of one per class
        gap = counts * size / len(y) - quota
        if quota.sum() < size:
            quota[np.argmax(np.where(quota < counts, gap, -np.inf))] += 1
        else:
            quota[np.argmin(np.where(quota > 1, gap, np.inf))] -= 1
    drawn = [rng.choice(np.flatnonzero(codes == k), n, replace=False) for k, n in enumerate(quota)]
    return np.sort(np.concatenate(drawn))


# -- finding files -----------------------------------------------------------------------------


def _search_roots(root: str | os.PathLike[str] | None) -> list[Path]:
    """Return the existing folders to look in, first come first served."""
    if root is not None and not Path(root).expanduser().is_dir():
        raise ValueError(f"root must be a folder, got {os.fspath(root)!r}; create it or omit root.")
    candidates = (root, os.environ.get("TSGUARD_DATA"), "data", _bundle(), _cache())
    folders = [Path(one).expanduser() for one in candidates if one]
    return [folder for folder in folders if folder.is_dir()]


def _bundle() -> Path:
    """Return the folder of the sets that come with aeon; does not import aeon, which is slow."""
    spec = importlib.util.find_spec("aeon")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "data"


def _cache() -> Path:
    return Path(os.environ.get("TSGUARD_CACHE") or "~/.cache/tsguard").expanduser()


def _find(name: str, roots: list[Path]) -> _Files | None:
    for folder in roots:
        for found, files in _scan(folder).items():
            if found.lower() == name.lower():
                return files
    return None


def _scan(folder: Path) -> dict[str, _Files]:
    """Map the names of all data sets under a root folder to their files."""
    found: dict[str, _Files] = {}
    for place in (folder / "npz", folder / "ts", folder):
        if not place.is_dir():
            continue
        entries = sorted(place.iterdir())
        found |= {one.stem: (one,) for one in entries if one.suffix == ".npz"}
        found |= _pairs(place)
        for entry in entries:
            files = _files_in(entry) if entry.is_dir() else None
            if files is not None:
                found[_set_name(files)] = files
    return {name: files for name, files in found.items() if not is_regression(files[0])}


def _pairs(folder: Path, suffixes: tuple[str, ...] = _PAIR_SUFFIXES) -> dict[str, _Files]:
    """Map names to train and test file, for all pairs directly in a folder."""
    files = {one.name.lower(): one for one in sorted(folder.iterdir()) if one.is_file()}
    pairs: dict[str, _Files] = {}
    for suffix in suffixes:
        for key, train in files.items():
            test = files.get(key.removesuffix(f"_train{suffix}") + f"_test{suffix}")
            if key.endswith(f"_train{suffix}") and test is not None:
                pairs.setdefault(_set_name((train, test)), (train, test))
    return pairs


def _set_name(files: _Files) -> str:
    stem = files[0].stem
    return stem if len(files) == 1 else stem[: -len("_TRAIN")]


def _files_in(folder: Path) -> _Files | None:
    """Return the one data set of a folder: that of the folder's name, or the only one."""
    pairs = _pairs(folder)
    own = [files for name, files in pairs.items() if name.lower() == folder.name.lower()]
    own = own or list(pairs.values())
    return own[0] if len(own) == 1 else None


def _files_at(path: Path) -> _Files | None:
    """Return the files that a path means; None if it is a mere name."""
    files: _Files | None = None
    if path.is_dir():
        files = _files_in(path)
    elif path.is_file() and path.suffix == ".npz":
        files = (path,)
    elif path.is_file():
        pairs = _pairs(path.parent, (path.suffix.lower(),)).values()
        files = next((pair for pair in pairs if path in pair), None)
    if files is None and (len(path.parts) > 1 or path.suffix in (".npz", *_PAIR_SUFFIXES)):
        raise DatasetNotFoundError(
            f"name must be a data set, a .npz file, or a pair of files <name>_TRAIN and "
            f"<name>_TEST ({', '.join(_PAIR_SUFFIXES)}) or their folder, got {str(path)!r}, where "
            "there is none; check the path."
        )
    return files


def _read(files: _Files) -> Dataset:
    X_train, y_train = read_part(files[0], "train")
    X_test, y_test = read_part(files[-1], "test", X_train.shape[1:])
    classes = np.unique(np.concatenate([y_train, y_test]))
    return Dataset(X_train, y_train, X_test, y_test, classes, _set_name(files))


# -- download ----------------------------------------------------------------------------------


def _download(name: str, roots: list[Path]) -> _Files:
    """Fetch a set of the archives into the cache, or say what there is instead."""
    from aeon.datasets.tsc_datasets import multivariate, univariate

    archive = {one.lower(): one for one in (*univariate, *multivariate)}
    offline = sorted({one for folder in roots for one in _scan(folder)})
    at_hand = f"available offline: {', '.join(offline) or 'nothing'}"
    official = archive.get(name.lower())
    if official is None:
        near = near_names(name, [*archive.values(), *offline])
        hint = f"did you mean {' or '.join(near)}" if near else "see tsguard.list_datasets()"
        raise DatasetNotFoundError(
            f"name must be a data set at hand, one of the UCR/UEA archives, or a path, got "
            f"{name!r}; {hint} ({at_hand})."
        )
    try:
        _fetch(official, _cache())
    except Exception as error:  # aeon raises different types for the same failures by version
        reason = " ".join(str(error).split()).rstrip(".")
        raise DatasetNotFoundError(
            f"{official} is in the UCR/UEA archive but could not be downloaded "
            f"({type(error).__name__}: {reason}); check the network or put its files into ./data "
            f"({at_hand})."
        ) from error
    files = _files_in(_cache() / official)
    assert files is not None, "aeon loaded it, so the pair of files is there"
    return files


def _fetch(name: str, cache: Path) -> None:
    """Download into a temporary folder first, so that no half-written set is ever found."""
    from aeon.datasets import load_classification

    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".partial-") as temporary:
        load_classification(name, split="train", extract_path=temporary)
        os.replace(Path(temporary) / name, cache / name)
