"""Finding, reading and refusing data sets; everything here works without a network."""

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from tsguard import DatasetNotFoundError
from tsguard._datasets import Dataset, list_datasets, load_dataset, subsample

REPOSITORY = Path(__file__).parents[1]
SHARED = Path(os.environ.get("TSGUARD_DATA") or REPOSITORY.parent / "shared" / "data")
MANIFEST = json.loads((REPOSITORY / "data" / "manifest.json").read_text(encoding="utf-8"))

needs_shared_data = pytest.mark.skipif(
    not (SHARED / "npz" / "ECG5000.npz").is_file(),
    reason=f"no data sets in {SHARED}; set TSGUARD_DATA",
)


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path, monkeypatch):
    """Nothing of this machine is found: no ./data, no $TSGUARD_DATA, an empty cache."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.delenv("TSGUARD_DATA", raising=False)
    monkeypatch.setenv("TSGUARD_CACHE", str(tmp_path / "cache"))


# Two classes, two series each, three timepoints; the test half is the train half plus 10.
X = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0], [9.0, -1.5, 0.25]])
Y = np.array([1, 2, 1, 2])


def write_table(folder, name, suffix, separator, label_format="{}"):
    for part, values in (("TRAIN", X), ("TEST", X + 10)):
        lines = [
            separator.join([label_format.format(y), *map(str, row)])
            for y, row in zip(Y, values, strict=True)
        ]
        (folder / f"{name}_{part}{suffix}").write_text("\n".join(lines) + "\n")


def write_arff(folder, name):
    attributes = "".join(f"@attribute att{i} numeric\n" for i in range(3))
    for part, values in (("TRAIN", X), ("TEST", X + 10)):
        rows = "\n".join(
            ",".join([*map(str, row), str(y)]) for y, row in zip(Y, values, strict=True)
        )
        (folder / f"{name}_{part}.arff").write_text(
            f"@relation {name}\n{attributes}@attribute target {{1,2}}\n@data\n{rows}\n"
        )


def write_ts(folder, name, rows=("0,1,2:Up", "3,4,5:down"), header=""):
    text = "@problemName {}\n{}@classLabel true Up down\n@data\n{}\n"
    for part in ("TRAIN", "TEST"):
        (folder / f"{name}_{part}.ts").write_text(text.format(name, header, "\n".join(rows)))


def write_npz(file, **changes):
    arrays = {"X_train": X, "y_train": Y - 1, "X_test": X + 10, "y_test": Y - 1}
    arrays |= {"classes": np.array(["no", "yes"])} | changes
    np.savez(file, **{key: value for key, value in arrays.items() if value is not None})


def check_tiny(dataset, name, labels=("1", "2")):
    assert dataset.name == name
    assert dataset.X_train.dtype == np.float32
    np.testing.assert_array_equal(dataset.X_train[:, 0], X)
    np.testing.assert_array_equal(dataset.X_test[:, 0], X + 10)
    assert [str(one) for one in dataset.classes] == list(labels)
    np.testing.assert_array_equal(dataset.y_train, dataset.classes[Y - 1])


# -- formats -----------------------------------------------------------------------------------


def test_tsv(tmp_path):
    write_table(tmp_path, "Tiny", ".tsv", "\t")
    dataset = load_dataset("Tiny", tmp_path)
    check_tiny(dataset, "Tiny")
    assert dataset.classes.dtype == np.int64


def test_txt_with_labels_written_as_floats(tmp_path):
    write_table(tmp_path, "Tiny", ".txt", "  ", "{}.0000000e+00")
    dataset = load_dataset("Tiny", tmp_path)
    check_tiny(dataset, "Tiny")
    assert dataset.classes.dtype == np.int64


def test_arff(tmp_path):
    write_arff(tmp_path, "Tiny")
    check_tiny(load_dataset("Tiny", tmp_path), "Tiny")


def test_npz_codes_become_labels(tmp_path):
    write_npz(tmp_path / "Tiny.npz")
    check_tiny(load_dataset("Tiny", tmp_path), "Tiny", labels=("no", "yes"))


def test_npz_without_classes_holds_labels(tmp_path):
    write_npz(tmp_path / "Tiny.npz", y_train=Y, y_test=Y, classes=None)
    check_tiny(load_dataset("Tiny", tmp_path), "Tiny")


def test_ts_labels_keep_the_archives_spelling(tmp_path):
    write_ts(tmp_path, "Tiny")
    dataset = load_dataset("Tiny", tmp_path)
    assert dataset.y_train.tolist() == ["Up", "down"]
    assert dataset.classes.tolist() == ["Up", "down"]


def test_unequal_lengths_and_missing_values_take_the_longest_training_length(tmp_path):
    write_ts(tmp_path, "Tiny", ["0,2:Up", "0,?,2,3:down"], "@equalLength false\n")
    longer = "@equalLength false\n@classLabel true Up down\n@data\n0,1,2,3,4,5,6:Up\n"
    (tmp_path / "Tiny_TEST.ts").write_text(longer)
    dataset = load_dataset("Tiny", tmp_path)
    np.testing.assert_allclose(dataset.X_train[:, 0], [[0, 2 / 3, 4 / 3, 2], [0, 1, 2, 3]])
    np.testing.assert_allclose(dataset.X_test[:, 0], [[0, 2, 4, 6]])


# -- places ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["Tiny", "ts/Tiny", "."])
def test_folders_of_a_root(tmp_path, place):
    folder = tmp_path / "root" / place
    folder.mkdir(parents=True)
    write_table(folder, "Tiny", ".tsv", "\t")
    check_tiny(load_dataset("tINY", tmp_path / "root"), "Tiny")
    assert "Tiny" in list_datasets(tmp_path / "root")
    assert "Tiny" not in list_datasets()


@pytest.mark.parametrize("place", ["npz", "."])
def test_npz_folders_of_a_root(tmp_path, place):
    folder = tmp_path / "root" / place
    folder.mkdir(parents=True, exist_ok=True)
    write_npz(folder / "Tiny.npz")
    assert load_dataset("tiny", tmp_path / "root").name == "Tiny"
    assert "Tiny" in list_datasets(tmp_path / "root")


def test_environment_then_working_directory_then_bundle(tmp_path, monkeypatch):
    here, environment = Path("data"), tmp_path / "environment"
    for folder, shift in ((here, 1.0), (environment, 2.0)):
        folder.mkdir()
        write_npz(folder / "GunPoint.npz", X_train=X + shift)
    assert load_dataset("GunPoint").X_train[0, 0, 0] == 1.0
    monkeypatch.setenv("TSGUARD_DATA", str(environment))
    assert load_dataset("GunPoint").X_train[0, 0, 0] == 2.0
    monkeypatch.delenv("TSGUARD_DATA")
    (here / "GunPoint.npz").unlink()
    assert len(load_dataset("GunPoint").X_train) == 50


def test_paths(tmp_path):
    folder = tmp_path / "Tiny"
    folder.mkdir()
    write_table(folder, "Tiny", ".tsv", "\t")
    write_table(folder, "Other", ".txt", " ")
    write_npz(folder / "Boxed.npz")
    assert load_dataset(folder).name == "Tiny"
    assert load_dataset(str(folder / "Other_TRAIN.txt")).name == "Other"
    assert load_dataset(folder / "Tiny_TEST.tsv").name == "Tiny"
    assert load_dataset(folder / "Boxed.npz").name == "Boxed"


def test_a_path_without_a_data_set_is_refused(tmp_path):
    message = (
        "name must be a data set, a .npz file, or a pair of files <name>_TRAIN and <name>_TEST "
        f"(.ts, .tsv, .txt, .arff) or their folder, got {str(tmp_path)!r}, where there is none; "
        "check the path."
    )
    with pytest.raises(DatasetNotFoundError, match=f"^{re.escape(message)}$"):
        load_dataset(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=r"got 'absent\.npz', where there is none"):
        load_dataset("absent.npz")


def test_a_root_that_is_no_folder_is_refused():
    message = "root must be a folder, got 'nowhere'; create it or omit root."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_dataset("GunPoint", "nowhere")


def test_an_unrelated_folder_of_the_same_name_is_no_hindrance():
    Path("UnitTest").mkdir()
    assert load_dataset("UnitTest").name == "UnitTest"


# -- bundled sets and downloads ------------------------------------------------------------------


def test_every_bundled_set_loads_and_regression_sets_are_left_out():
    names = list_datasets()
    assert {"BasicMotions", "GunPoint", "ItalyPowerDemand", "JapaneseVowels"} <= set(names)
    assert names == sorted(names)
    assert "Covid3Month" not in names
    for name in names:
        dataset = load_dataset(name)
        assert dataset.name == name
        assert np.isfinite(dataset.X_train).all()
        assert dataset.X_train.shape[1:] == dataset.X_test.shape[1:]
        assert 2 <= dataset.n_classes <= len(dataset.y_train)


def test_facts_and_repr_of_a_dataset():
    dataset = load_dataset("BasicMotions")
    assert (dataset.n_classes, dataset.n_channels, dataset.n_timepoints) == (4, 6, 100)
    assert dataset.classes.tolist() == ["Badminton", "Running", "Standing", "Walking"]
    assert repr(dataset) == (
        "Dataset('BasicMotions', X_train (40, 6, 100), X_test (40, 6, 100), 4 classes)"
    )


def test_an_unknown_name_gets_suggestions_and_what_is_at_hand(tmp_path):
    write_npz(tmp_path / "MyMotors.npz")
    with pytest.raises(
        DatasetNotFoundError,
        match=r"^name must be a data set at hand, one of the UCR/UEA archives, or a path, got "
        r"'mymotor'; did you mean MyMotors \(available offline: ACSF1, .*, MyMotors, .*\)\.$",
    ):
        load_dataset("mymotor", tmp_path)
    with pytest.raises(DatasetNotFoundError, match="did you mean ECG5000"):
        load_dataset("ECG5001")
    with pytest.raises(DatasetNotFoundError, match=r"see tsguard\.list_datasets\(\)"):
        load_dataset("qqqqqqqqqq")


def test_a_failed_download_says_so_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(name, split, extract_path):
        (Path(extract_path) / name).mkdir()
        (Path(extract_path) / name / f"{name}_TRAIN.ts").write_text("half a fi")
        raise OSError("no route to host")

    monkeypatch.setattr("aeon.datasets.load_classification", fail)
    with pytest.raises(
        DatasetNotFoundError,
        match=r"^ECG200 is in the UCR/UEA archive but could not be downloaded \(OSError: no route "
        r"to host\); check the network or put its files into ./data \(available offline: .*\)\.$",
    ):
        load_dataset("ecg200")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_is_kept_in_the_cache(tmp_path, monkeypatch):
    calls = []

    def fetch(name, split, extract_path):
        calls.append(name)
        (Path(extract_path) / name).mkdir()
        write_ts(Path(extract_path) / name, name)

    monkeypatch.setattr("aeon.datasets.load_classification", fetch)
    for _ in range(2):
        assert load_dataset("ecg200").y_train.tolist() == ["Up", "down"]
    assert calls == ["ECG200"]
    assert [one.name for one in (tmp_path / "cache").iterdir()] == ["ECG200"]
    assert "ECG200" in list_datasets()


# -- malformed files ---------------------------------------------------------------------------


def refuse(file, part, reason):
    message = (
        f"{re.escape(str(file))} must be the {part} half of a classification data set, got a file "
        rf"that cannot be read \({reason}\); repair it or fetch it again\."
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        load_dataset(file)


@pytest.mark.parametrize(
    ("changes", "part", "reason"),
    [
        ({"y_test": None}, "test", "KeyError: .*y_test is not a file in the archive.*"),
        ({"y_train": Y}, "train", "ValueError: y_train must hold codes 0 to 1, .*"),
        ({"y_train": Y[:3] - 1}, "train", "ValueError: y must hold one label per series, .*"),
        ({"X_test": np.zeros((4, 2, 3))}, "test", "ValueError: 2 channel.s. where the training .*"),
        ({"X_train": np.full((4, 3), np.inf)}, "train", "ValueError: X must hold finite values.*"),
    ],
)
def test_npz_with_wrong_arrays(tmp_path, changes, part, reason):
    write_npz(tmp_path / "Tiny.npz", **changes)
    refuse(tmp_path / "Tiny.npz", part, reason)


def test_npz_with_pickled_objects_is_not_unpickled(tmp_path):
    write_npz(tmp_path / "Tiny.npz", y_train=np.array(["a", None, "b", "c"], dtype=object))
    refuse(tmp_path / "Tiny.npz", "train", "ValueError: Object arrays cannot be loaded.*")


def test_truncated_npz(tmp_path):
    file = tmp_path / "Tiny.npz"
    write_npz(file)
    file.write_bytes(file.read_bytes()[:300])
    refuse(file, "train", "BadZipFile: .*")


@pytest.mark.parametrize("suffix", [".ts", ".tsv", ".txt", ".arff"])
@pytest.mark.parametrize("content", [b"", b"once upon\na time, \x00\xff\xfe\n", b"@data\nx,y:z\n"])
def test_garbage(tmp_path, suffix, content):
    for part in ("TRAIN", "TEST"):
        (tmp_path / f"Tiny_{part}{suffix}").write_bytes(content)
    assert "Tiny" in list_datasets(tmp_path)
    refuse(tmp_path / f"Tiny_TRAIN{suffix}", "train", ".*")


def test_ts_with_timestamps_is_refused(tmp_path):
    write_ts(tmp_path, "Tiny", ["(0.0,-1.5),(1.0,2.0):Up"], "@timeStamps true\n")
    refuse(
        tmp_path / "Tiny_TRAIN.ts",
        "train",
        "ValueError: .*got a file with time stamps .*",
    )


# -- subsample ---------------------------------------------------------------------------------


def make_dataset(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    X = np.arange(len(y), dtype=np.float32).reshape(-1, 1, 1)
    return Dataset(X, y, X, y, np.unique(y), "made")


def test_subsample_keeps_classes_and_shares():
    dataset = make_dataset([60, 30, 9, 1])
    small = subsample(dataset, 20, 10, random_state=0)
    assert np.bincount(small.y_train).tolist() == [12, 6, 1, 1]
    assert (len(small.X_train), len(small.X_test)) == (20, 10)
    assert set(small.y_test) == {0, 1, 2, 3}
    rows = small.X_train[:, 0, 0].astype(int)
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(dataset.y_train[rows], small.y_train)


def test_subsample_is_reproducible_and_keeps_what_is_small_enough():
    dataset = make_dataset([10, 10])
    first, second, other = (subsample(dataset, 6, 99, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.X_train, second.X_train)
    assert not np.array_equal(first.X_train, other.X_train)
    np.testing.assert_array_equal(first.X_test, dataset.X_test)


def test_subsample_refuses_to_lose_a_class():
    message = "n_train must be at least the number of classes, 3, got 2; ask for more series."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        subsample(make_dataset([5, 5, 5]), 2, 5)


# -- the sets of the manifest --------------------------------------------------------------------


def test_manifest_has_all_facts():
    assert len(MANIFEST) == 33
    for entry in MANIFEST.values():
        assert {"n_train", "n_test", "n_channels", "n_timepoints", "n_classes"} < entry.keys()
        assert entry["source"]
        assert entry["licence"]
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in entry["files"].values())


@needs_shared_data
@pytest.mark.parametrize("name", ["ECG5000", "JapaneseVowels", "NATOPS", "Wine", "Epilepsy"])
def test_sets_agree_with_the_manifest(name):
    entry = MANIFEST[name]
    for file, expected in entry["files"].items():
        assert hashlib.sha256((SHARED / file).read_bytes()).hexdigest() == expected
    dataset = load_dataset(name, SHARED)
    assert dataset.X_train.shape == (entry["n_train"], entry["n_channels"], entry["n_timepoints"])
    assert len(dataset.X_test) == len(dataset.y_test) == entry["n_test"]
    assert dataset.n_classes == entry["n_classes"]
