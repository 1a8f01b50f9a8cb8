"""Image data sets by name: bundled, from sheets on disk, or through torchvision."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsguard._datasets import Dataset
from tsguard._exceptions import DatasetNotFoundError
from tsguard._random import RandomState, numpy_stream, resolve_seed
from tsguard_vision._backbones import import_torchvision
from tsguard_vision._images import Images

# Sheets of images, see docs/images.md.
_COLUMNS, _SIZE = 100, 32
_TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "gtsrb": "GTSRB", "mnist": "MNIST"}


@dataclass(frozen=True, eq=False, repr=False)
class ImageDataset(Dataset):
    """A labelled set of images with its own split.

    Attributes
    ----------
    X_train, X_test : ndarray of uint8 of shape (n_samples, n_channels, height, width)
    y_train, y_test, classes, name
        As in :class:`tsguard.Dataset`.
    groups_train : ndarray of shape (n_samples,) or None
        Training images of one group are near copies (a track of GTSRB): a validation split must
        not part them.
    """

    groups_train: NDArray[Any] | None = None


def load_dataset(
    name: str, root: str | os.PathLike[str] | None = None, *, download: bool = False
) -> ImageDataset:
    """Load a set of images.

    Parameters
    ----------
    name : str
        ``"digits"``, which comes with scikit-learn (1,797 images, 8 by 8, every fourth for
        testing); a folder of sheets; or the name of one, such as ``"cifar10"`` or ``"gtsrb"``, in
        ``root``, ``$TSGUARD_DATA`` or ``./data`` (or ``images`` therein). ``docs/images.md`` has
        the format of a folder of sheets.
    root : str or path, optional
        Folder to look in first.
    download : bool, default=False
        Get CIFAR-10, CIFAR-100, GTSRB or MNIST with torchvision, to ``root`` or ``./data``.

    Returns
    -------
    ImageDataset

    Raises
    ------
    DatasetNotFoundError
        If there is no such set.
    ImportError
        If Pillow (for sheets) or torchvision (for downloads) is missing.
    ValueError
        If a file is damaged.

    Examples
    --------
    >>> load_dataset("digits")
    Dataset('digits', X_train (1348, 1, 8, 8), X_test (449, 1, 8, 8), 10 classes)
    """
    if name == "digits":
        return _digits()
    places = [root, os.environ.get("TSGUARD_DATA"), "data"]
    folders = [Path(place) / sub for place in places if place for sub in ("", "images")]
    for folder in [Path(name), *(folder / name for folder in folders)]:
        if (folder / "labels.npz").is_file():
            return _from_sheets(folder)
    if download:
        return _from_torchvision(name, Path(root or "data"))
    raise DatasetNotFoundError(
        f"name must be 'digits' or a folder of sheets with labels.npz, got {name!r}, which is in "
        f"none of {sorted({str(folder) for folder in folders})}; pass root, or download=True for "
        f"one of {sorted(_TORCHVISION)}."
    )


def subset(
    dataset: ImageDataset,
    n_train: int | None = None,
    n_test: int | None = None,
    random_state: RandomState = None,
) -> ImageDataset:
    """Draw a smaller set, with about as many of every class as before.

    Whole groups (tracks) are kept or left out, so that the training images stay as varied.

    Parameters
    ----------
    dataset : ImageDataset
    n_train, n_test : int or None
        Images to keep, about; None keeps all.
    random_state : int, numpy.random.RandomState or None

    Returns
    -------
    ImageDataset
    """
    seed = resolve_seed(random_state)
    groups = dataset.groups_train
    train = _draw(dataset.y_train, groups, n_train, numpy_stream(seed, "subset of train"))
    test = _draw(dataset.y_test, None, n_test, numpy_stream(seed, "subset of test"))
    return ImageDataset(
        dataset.X_train[train],
        dataset.y_train[train],
        dataset.X_test[test],
        dataset.y_test[test],
        dataset.classes,
        dataset.name,
        None if groups is None else groups[train],
    )


def _draw(
    y: NDArray[Any],
    groups: NDArray[Any] | None,
    n_wanted: int | None,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Return sorted rows: of every class, whole groups in random order up to its share."""
    if n_wanted is None or n_wanted >= len(y):
        return np.arange(len(y))
    kept = []
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        n_class = max(1, round(n_wanted * len(rows) / len(y)))
        own = np.arange(len(rows)) if groups is None else groups[rows]
        order = [rows[own == group] for group in rng.permutation(np.unique(own))]
        ends = np.cumsum([len(part) for part in order])
        kept += order[: int(np.searchsorted(ends, n_class)) + 1]
    return np.sort(np.concatenate(kept))


def _digits() -> ImageDataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    y, test = bunch.target, np.arange(len(images)) % 4 == 3
    classes = np.arange(10)
    return ImageDataset(images[~test], y[~test], images[test], y[test], classes, "digits")


def _from_sheets(folder: Path) -> ImageDataset:
    """Read sheets of images, as ``docs/images.md`` describes them."""
    with np.load(folder / "labels.npz") as labels:
        missing = {"y_train", "y_test", "classes"} - set(labels)
        if missing:
            raise ValueError(
                f"{folder / 'labels.npz'} must hold y_train, y_test and classes, got no "
                f"{sorted(missing)[0]}; see docs/images.md."
            )
        codes = {part: labels[f"y_{part}"].astype(np.int64) for part in ("train", "test")}
        classes = labels["classes"]
        files = labels.get("file_train")
    train, test = (_read_sheets(folder, part, len(codes[part])) for part in ("train", "test"))
    groups = None
    if files is not None:  # class/track_frame.ppm
        groups = np.array([one.rsplit("_", 1)[0] for one in files.tolist()])
    names = np.unique(classes)  # sorted, as in every Dataset
    y_train, y_test = (classes[codes[part]] for part in ("train", "test"))
    return ImageDataset(train, y_train, test, y_test, names, folder.name, groups)


def _read_sheets(folder: Path, part: str, n_images: int) -> Images:
    """Return the images of one part, (n_images, 3, 32, 32)."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Pillow must be installed to read sheets of images; pip install 'tsguard[vision]'."
        ) from error
    parts: list[Images] = []
    while (path := folder / f"{part}_{len(parts)}.webp").is_file():
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None  # a sheet of 10,000 images is no attack
        try:
            with Image.open(path) as sheet:
                pixels = np.asarray(sheet.convert("RGB"))
        finally:
            Image.MAX_IMAGE_PIXELS = before
        height, width = pixels.shape[:2]
        if height % _SIZE or width != _COLUMNS * _SIZE:
            raise ValueError(
                f"{path} must be {_COLUMNS * _SIZE} pixels wide and a multiple of {_SIZE} high, "
                f"got {width} by {height}; see docs/images.md."
            )
        grid = pixels.reshape(height // _SIZE, _SIZE, _COLUMNS, _SIZE, 3)
        parts.append(grid.transpose(0, 2, 4, 1, 3).reshape(-1, 3, _SIZE, _SIZE))
    found = sum(len(one) for one in parts)
    if found < n_images:
        raise ValueError(
            f"{folder} must hold {n_images} images in sheets {part}_0.webp, {part}_1.webp, ..., "
            f"got {found}; copy the missing sheets."
        )
    images: Images = np.concatenate(parts)[:n_images]
    return images


def _from_torchvision(name: str, root: Path) -> ImageDataset:
    datasets = import_torchvision().datasets
    if name not in _TORCHVISION:
        raise DatasetNotFoundError(
            f"name must be one of {sorted(_TORCHVISION)} to be downloaded, got {name!r}; correct "
            "the name."
        )
    kind = getattr(datasets, _TORCHVISION[name])
    options: list[dict[str, Any]] = [{"train": True}, {"train": False}]
    if name == "gtsrb":
        options = [{"split": "train"}, {"split": "test"}]
    parts = [kind(str(root), download=True, **option) for option in options]
    (X_train, y_train), (X_test, y_test) = (_as_arrays(part) for part in parts)
    return ImageDataset(X_train, y_train, X_test, y_test, np.unique(y_train), name)


def _as_arrays(dataset: Any) -> tuple[Images, NDArray[np.int64]]:
    """Return images and labels of a data set of torchvision; odd sizes become 32 by 32."""
    if hasattr(dataset, "data"):
        images = np.asarray(dataset.data)
        labels = dataset.targets
    else:
        pairs = [(np.asarray(one.resize((_SIZE, _SIZE))), label) for one, label in dataset]
        images, labels = np.stack([one for one, _ in pairs]), [label for _, label in pairs]
    images = images[..., None] if images.ndim == 3 else images
    moved: Images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    return moved, np.asarray(labels, np.int64)
