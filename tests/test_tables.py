"""Files of labelled series: every format read, told apart, refused, and written again."""

import csv
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tsguard import load_dataset
from tsguard._tables import Options, named_columns, open_reader, read_chunks, read_series

N, T = 9, 12
LABELS = np.array(["run", "walk", "climb up"])[np.arange(N) % 3]


def panel(n_channels=1):
    """Float32 values that every format holds exactly."""
    values = np.random.default_rng(0).normal(size=(N, n_channels, T)).astype(np.float32)
    return values.astype(np.float64)


def joined(values):
    return ",".join(f"{value!r}" for value in values.tolist())


def write_ts(path, X, y, equal=True):
    classes = " ".join(dict.fromkeys(y))
    head = (
        f"#about\n@problemName mine\n@equalLength {str(equal).lower()}\n@classLabel true {classes}"
    )
    rows = [f"{':'.join(joined(c) for c in one)}:{label}" for one, label in zip(X, y, strict=True)]
    path.write_text("\n".join([head, "@data", *rows]) + "\n")


def write_arff(path, X, y):
    quote = [f"'{label}'" if " " in label else label for label in y]
    head = ["@relation mine", *[f"@attribute a{i} numeric" for i in range(T)]]
    rows = [f"{joined(one[0])},{label}" for one, label in zip(X, quote, strict=True)]
    if len(X[0]) > 1:
        head = ["@relation mine", "@attribute all relational"]
        body = ["\\n".join(joined(channel) for channel in one) for one in X]
        rows = [f"'{one}',{label}" for one, label in zip(body, quote, strict=True)]
    names = ",".join(dict.fromkeys(quote))
    path.write_text("\n".join(["% about", *head, f"@attribute c {{{names}}}", "@data", *rows]))


def write_tsv(path, X, y):
    rows = [
        f"{label}\t" + joined(one[0]).replace(",", "\t") for one, label in zip(X, y, strict=True)
    ]
    path.write_text("\n".join(rows) + "\n")


def write_npz(path, X, y):
    np.savez(path, X=X, y=y, group=np.arange(len(X)), unit=np.array("mV"))


def wide_rows(X, y):
    names = ["id", *[f"{c}_{t}" for c in "xyz"[: len(X[0])] for t in range(X[0].shape[1])], "label"]
    rows = [[f"s{i}", *one.ravel().tolist(), y[i]] for i, one in enumerate(X)]
    return [names, *rows]


def long_rows(X, y):
    names = ["series", "time", *"xyz"[: len(X[0])], "label"]
    steps = [(i, t) for i in range(len(X)) for t in range(X[i].shape[1])]
    return [names, *([f"s{i}", t, *X[i][:, t].tolist(), y[i]] for i, t in steps)]


def write_csv(path, rows, separator=","):
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter=separator, lineterminator="\n").writerows(rows)


def write_parquet(path, rows):
    pyarrow, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    names, *body = rows
    columns = {
        name: list(column) for name, column in zip(names, zip(*body, strict=True), strict=True)
    }
    columns["label"] = pyarrow.array(columns["label"]).dictionary_encode()  # as pandas' category
    parquet.write_table(pyarrow.table(columns), path)


WRITERS = {
    "ts": ("d.ts", 2, write_ts),
    "arff": ("d.arff", 1, write_arff),
    "arff channels": ("d.arff", 2, write_arff),
    "tsv": ("d.tsv", 1, write_tsv),
    "npz": ("d.npz", 2, write_npz),
    "npz 2-D": ("d.npz", 1, lambda path, X, y: write_npz(path, X[:, 0], y)),
    "csv wide": ("d.csv", 1, lambda path, X, y: write_csv(path, wide_rows(X, y))),
    "csv wide channels": ("d.csv", 3, lambda path, X, y: write_csv(path, wide_rows(X, y), ";")),
    "csv long": ("d.csv", 3, lambda path, X, y: write_csv(path, long_rows(X, y))),
    "parquet wide": ("d.parquet", 2, lambda path, X, y: write_parquet(path, wide_rows(X, y))),
    "parquet long": ("d.parquet", 2, lambda path, X, y: write_parquet(path, long_rows(X, y))),
}


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    """A file of every format, with what it holds."""
    name, n_channels, write = WRITERS[request.param]
    y = np.array([label.replace(" ", "_") for label in LABELS]) if name == "d.ts" else LABELS
    write(tmp_path / name, panel(n_channels), y)
    return tmp_path / name, panel(n_channels), y


def assert_same_series(series, X):
    assert len(series) == len(X)
    for one, expected in zip(series, X, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_round_trip(written, tmp_path):
    path, X, y = written
    source = read_series(path)
    assert_same_series(source.series, X)
    assert source.labels.tolist() == y.tolist()
    keep, labels = np.arange(N) != 4, source.labels.copy()
    labels[[0, 8]] = labels[1]
    out = tmp_path / "out"
    out.mkdir()
    assert source.write_cleaned(out, keep, labels) == [f"d_cleaned{path.suffix}"]
    again = read_series(out / f"d_cleaned{path.suffix}")
    assert_same_series(again.series, X[keep])
    assert again.labels.tolist() == labels[keep].tolist()
    assert again.layout.replace(f"({N - 1}, ", f"({N}, ") == source.layout
    assert again.ids is None or again.ids == [f"s{i}" for i in range(N) if i != 4]


def test_unchanged_text_is_written_unchanged(written, tmp_path):
    path = written[0]
    source = read_series(path)
    (tmp_path / "out").mkdir()
    (name,) = source.write_cleaned(tmp_path / "out", np.ones(N, bool), source.labels)
    if path.suffix not in (".npz", ".parquet"):  # zips and Parquet files carry times and layouts
        assert (tmp_path / "out" / name).read_bytes() == path.read_bytes()


def test_pieces_hold_what_the_whole_holds(written):
    path, X, y = written
    pieces = list(read_chunks(path, None, 4))
    assert [len(piece) for piece in pieces] == [4, 4, 1]
    rows = [row for piece in pieces for row in piece]
    assert_same_series([row.values for row in rows], X)
    assert [str(row.label) for row in rows] == y.tolist()


def test_other_arrays_of_an_archive_are_cut_alike(tmp_path):
    write_npz(tmp_path / "d.npz", panel(), LABELS)
    keep = np.arange(N) < 5
    read_series(tmp_path / "d.npz").write_cleaned(tmp_path, keep, LABELS)
    with np.load(tmp_path / "d_cleaned.npz") as arrays:
        assert arrays["group"].tolist() == [0, 1, 2, 3, 4]
        assert arrays["unit"] == "mV"


@pytest.mark.parametrize("name", ["GunPoint", "BasicMotions"])
@pytest.mark.parametrize("suffix", [".ts", ".tsv", ".arff"])
def test_archives_read_as_aeon_and_load_dataset_do(name, suffix):
    import aeon
    from aeon.datasets import load_from_ts_file

    path = Path(aeon.__file__).parent / "datasets" / "data" / name / f"{name}_TRAIN{suffix}"
    if not path.exists():
        pytest.skip("not in aeon's bundle")
    source, dataset = read_series(path), load_dataset(name)
    X, y = load_from_ts_file(str(path.with_suffix(".ts")))
    np.testing.assert_allclose(source.series, X, rtol=1e-6)
    np.testing.assert_array_equal(np.float32(source.series), dataset.X_train)
    labels = source.labels.astype(str).tolist()
    assert [label.lower() for label in labels] == y.tolist()
    assert labels == dataset.y_train.astype(str).tolist()


def test_unequal_lengths(tmp_path):
    X = [one[:, : T - i] for i, one in enumerate(panel(2))]
    write_ts(tmp_path / "d.ts", X, LABELS.astype("U3"), equal=False)
    write_csv(tmp_path / "d.csv", long_rows(X, LABELS))
    for name in ("d.ts", "d.csv"):
        assert_same_series(read_series(tmp_path / name).series, X)


@pytest.mark.parametrize("cell", ["", "NaN", "?", "NA", "null"])
def test_missing_values_stay_missing(cell, tmp_path):
    rows = wide_rows(panel(), LABELS)
    rows[3][2] = cell
    write_csv(tmp_path / "d.csv", rows)
    source = read_series(tmp_path / "d.csv")
    assert [int(np.isnan(one).sum()) for one in source.series] == [0, 0, 1, 0, 0, 0, 0, 0, 0]
    (name,) = source.write_cleaned(tmp_path, np.ones(N, bool), source.labels)
    assert (tmp_path / name).read_bytes() == (tmp_path / "d.csv").read_bytes()


# --- telling columns apart


def body(n=4):
    return [[0.5 + i, 1.5 + i, 2.5 * i] for i in range(n)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([["a", "b", "c", "label"], *[[*one, "u"] for one in body()]], "label in column 'label'"),
        ([["Class", "a", "b", "c"], *[["u", *one] for one in body()]], "label in column 'Class'"),
        ([["0", "1", "2", "kind"], *[[*one, "u"] for one in body()]], None),
        ([["0", "1", "2", "3"], *[[*one, "u"] for one in body()]], "label in column '3'"),
        ([["1", "2", "3", "4"], *[[7, *one] for one in body()]], "label in column '1'"),
        ([["", "0", "1", "2"], *[[i, *one] for i, one in enumerate(body())]], "no label"),
        ([["u", *one] for one in body()], "label in column 1"),
        ([[*one, "u"] for one in body()], "label in column 4"),
        ([[1, *one] for one in body()], "label in column 1"),
        ([[*one, 2] for one in body()], "label in column 4"),
        (body(), "no label"),
        ([["id", "t", "v", "y"], *[["a", i, 0.5, "u"] for i in range(4)]], "time in column 't'"),
        ([["id", "t", "x", "y", "z"], *[["a", i, *body()[i]] for i in range(4)]], "x', 'y', 'z'"),
        ([["", "t_0", "t_1", "y"], *[[i, 0.5, i, "u"] for i in range(4)]], "1 channel(s)"),
        ([["x_0", "x_1", "y_0", "y_1"], *[[*one, 1] for one in body()]], "2 channel(s)"),
    ],
)
def test_columns_are_told_apart(rows, expected, tmp_path):
    write_csv(tmp_path / "d.csv", rows)
    if expected is None:  # a header, but its label has no known name: the cells speak
        with pytest.raises(ValueError, match=r"--ignore 'kind'"):
            open_reader(tmp_path / "d.csv", Options())
        return
    assert expected in open_reader(tmp_path / "d.csv", Options()).layout


@pytest.mark.parametrize("first", [0, 1])
def test_columns_that_pandas_numbered_are_no_series(first, tmp_path):
    write_csv(tmp_path / "d.csv", [[first, first + 1, first + 2], *body()])
    assert sum(map(len, read_chunks(tmp_path / "d.csv", Options(), 10))) == 4


def test_series_that_count_are_no_header(tmp_path):
    write_csv(tmp_path / "d.csv", (np.arange(12).reshape(3, 4)).tolist())
    assert sum(map(len, read_chunks(tmp_path / "d.csv", Options(None, "-1"), 10))) == 3


def test_a_table_of_ignored_columns_holds_no_values(tmp_path):
    write_csv(tmp_path / "d.csv", [[0.5], [1.5]])
    with pytest.raises(ValueError, match="must hold columns of values, got none"):
        open_reader(tmp_path / "d.csv", Options(ignore=("1",)))


def test_columns_may_be_named(tmp_path):
    rows = [["who", "when", "v", "kind", "site"]]
    rows += [[i // 3, i % 3, i, i // 6, "north"] for i in range(12)]
    write_csv(tmp_path / "d.csv", rows)
    options = Options(None, "kind", "who", "2", ("site",))
    source = read_series(tmp_path / "d.csv", options)
    assert_same_series(source.series, np.arange(12.0).reshape(4, 1, 3))
    assert (source.ids, source.labels.tolist()) == (["0", "1", "2", "3"], [0, 0, 1, 1])


def test_numbered_columns_and_times_are_sorted(tmp_path):
    write_csv(tmp_path / "w.csv", [["t_1", "t_10", "t_2", "y"], [1, 10, 2, "a"], [1, 10, 2, "b"]])
    assert read_series(tmp_path / "w.csv").series[0].tolist() == [[1, 2, 10]]
    days = ["2024-01-02", "2024-01-10", "2024-01-01"]
    rows = [[i, day, k, i] for k, day in enumerate(days) for i in "ab"]  # not together either
    write_csv(tmp_path / "l.csv", [["id", "date", "v", "label"], *rows])
    source = read_series(tmp_path / "l.csv")
    assert_same_series(source.series, [[[2, 0, 1]], [[2, 0, 1]]])
    source.write_cleaned(tmp_path, np.array([False, True]), source.labels)
    assert (tmp_path / "l_cleaned.csv").read_text().split()[1:] == [
        f"b,{day},{k},b" for k, day in enumerate(days)
    ]
    with pytest.raises(ValueError, match=r"together.*'a' in row 4; sort the file by 'id'"):
        list(read_chunks(tmp_path / "l.csv", None, 10))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["2", "-1", "0", "-12"], [3, 1, 2, 0]),
        (["0.50", "0.25", "1.0", "0.0"], [3, 1, 0, 2]),
        (["t_1", "t_-12", "t_0", "t_-1"], [1, 3, 2, 0]),
        (["t1", "t-12", "t0", "t-1"], [1, 3, 2, 0]),
        (["t-1", "t-3", "t-2", "t-4"], [0, 2, 1, 3]),
        (["00:00", "01:00", "00:30", "02:00"], [0, 1, 2, 3]),
        (["2024-01-31", "2024-02-01", "2024-02-02", "2024-03-01"], [0, 1, 2, 3]),
        (["31.12.2023 10:00", "1.1.2024 10:00", "2.1.2024 11:00", "3.1.24"], [0, 1, 2, 3]),
        (["2023Q4", "2024Q1", "2024Q2", "2024Q3"], [0, 1, 2, 3]),
    ],
)
def test_numbers_dates_and_times_name_one_channel(names, order, tmp_path):
    write_csv(tmp_path / "w.csv", [["label", *names], ["a", 0, 1, 2, 3], ["b", 0, 1, 2, 3]])
    assert read_series(tmp_path / "w.csv").series[0].tolist() == [order]


def test_numbers_after_a_name_are_times_of_a_channel(tmp_path):
    names = ["1_1", "1_0", "2_0", "2_1", "2024-x_1", "2024-x_0"]
    write_csv(tmp_path / "w.csv", [["label", *names], ["a", *range(6)], ["b", *range(6)]])
    assert read_series(tmp_path / "w.csv").series[0].tolist() == [[1, 0], [2, 3], [5, 4]]


def test_times_without_series_are_refused(tmp_path):
    write_csv(tmp_path / "l.csv", [["subject", "time", "v", "label"], [1, 0, 0.5, 0], [1, 1, 2, 0]])
    with pytest.raises(
        ValueError, match=r"ids beside the time column 'time'.*--id-column.*--ignore"
    ):
        open_reader(tmp_path / "l.csv", Options())
    options = Options(id_column="subject")
    assert read_series(tmp_path / "l.csv", options).series[0].tolist() == [[0.5, 2]]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([str(2**53), str(2**53 + 1), "5"], [2**53, 2**53 + 1, 5]),
        (["9" * 20, "9" * 19 + "8", "5"], ["9" * 20, "9" * 19 + "8", "5"]),
        (["1e300", "2", "3"], ["1e300", "2", "3"]),
        (["1.0", "2", "03"], [1, 2, 3]),
        (["1_0", "10", "2"], ["1_0", "10", "2"]),
    ],
)
def test_labels_are_integers_only_where_none_is_changed(labels, expected, tmp_path):
    rows = [[label, 0.5, 1.5] for label in labels]
    write_csv(tmp_path / "d.csv", [["label", "t_0", "t_1"], *rows])
    assert read_series(tmp_path / "d.csv").labels.tolist() == expected


@pytest.mark.parametrize("extra", ["objects", "file"])
def test_what_a_cleaned_archive_can_not_have_is_refused_at_once(extra, tmp_path):
    path, more = tmp_path / "d.npz", {}
    if extra == "objects":
        more = {"ids": np.array(["a", "b"], dtype=object)}
    np.savez(path, X=np.zeros((2, 5)), y=np.array([0, 1]), **more)
    if extra == "file":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("notes.txt", "hello")
    with pytest.raises(ValueError, match=r"'ids'; save it as texts|the file 'notes.txt'"):
        open_reader(path, Options())


def test_spelling_of_labels_is_kept(tmp_path):
    (tmp_path / "d.tsv").write_text("1.0e0\t0.5\t1\n2.0e0\t1\t1\n2.0e0\t3\t4\n")
    source = read_series(tmp_path / "d.tsv")
    assert source.labels.tolist() == [1, 2, 2]
    source.write_cleaned(tmp_path, np.ones(3, bool), np.array([1, 2, 1]))
    assert (tmp_path / "d_cleaned.tsv").read_text() == "1.0e0\t0.5\t1\n2.0e0\t1\t1\n1.0e0\t3\t4\n"


# --- labels beside the data


@pytest.mark.parametrize(
    "text",
    [
        "u\nv\nu\n",
        "label\nu\nv\nu\n",
        "site;label\n1;u\n1;v\n1;u\n",
        "label,id\nu,c\nu,a\nv,b\n",
    ],
)
def test_labels_beside(text, tmp_path):
    rows = [["id", "t_0", "t_1"], ["a", 0.5, 1], ["b", 1.5, 2], ["c", 2.5, 3]]
    write_csv(tmp_path / "d.csv", rows)
    (tmp_path / "d_labels.csv").write_text(text)
    source = read_series(tmp_path / "d.csv")
    assert source.labels.tolist() == ["u", "v", "u"]
    assert source.labels_path == tmp_path / "d_labels.csv"
    (tmp_path / "elsewhere").write_text("w\nw\nv")
    other = read_series(tmp_path / "d.csv", Options(tmp_path / "elsewhere"))
    assert other.labels.tolist() == ["w", "w", "v"]
    names = source.write_cleaned(tmp_path, np.array([True, False, True]), np.array(["v", "v", "u"]))
    assert names == ["d_cleaned.csv", "d_cleaned_labels.csv"]
    again = read_series(tmp_path / "d_cleaned.csv")  # finds its labels by their name
    assert (again.ids, again.labels.tolist()) == (["a", "c"], ["v", "u"])


# --- refusals

WIDE = "t_0,t_1,t_2,label\n1,2,3,a\n4,5,6,b\n"
LONG = "id,time,v,label\na,0,1,u\na,1,2,u\nb,0,1,v\n"
TS = "@classLabel true a b\n@data\n1,2,3:a\n4,5,6:b\n"
ARFF = "@attribute t numeric\n@data\n1,2,3,a\n4,5,6,b\n"

BAD = [
    ("d.csv", "", "at least one series"),
    ("d.csv", "t_0,label\n", "at least one series"),
    ("d.csv", WIDE.replace("5", "five"), r"'five' in row 3, column 2 \('t_1'\)"),
    ("d.csv", WIDE.replace("5", "inf"), r"inf in row 3, column 2 \('t_1'\)"),
    ("d.csv", WIDE.replace("4,5", "4"), "got 3 cells in row 3 where there should be 4"),
    ("d.csv", WIDE.replace("4,5,6", ",,"), "got none in row 3"),
    ("d.csv", WIDE.replace(",b", ","), "label for every series, got none in row 3"),
    ("d.csv", WIDE.replace("label", "t_3"), r"got 'a' in row 2, column 4 \('t_3'\)"),
    ("d.csv", "1,0.5,2\n2,0.5,1\n", "--label-column 1 or --label-column -1"),
    ("d.csv", b"\xff\xfe\x00a", "UTF-8"),
    ("d.csv", "\0\0\0\0\n", "binary"),
    ("d.csv", LONG.replace("a,1,2,u", "a,1,2,v"), "one label for every series, got 'u, v'"),
    ("d.csv", LONG.replace("a,1", "a,0"), "series 'a' with a time twice"),
    ("d.csv", LONG.replace("a,1", "a,noon"), r"ISO dates .* got 'noon' in row 3, column 2"),
    ("d.csv", LONG.replace("1,u", "x,u"), r"got 'x' in row 2, column 3 \('v'\)"),
    ("d.csv", LONG.replace("b,0", ",0"), "must name the series of every row, got none in row 4"),
    ("d.csv", WIDE.replace("t_0", "age"), "--ignore 'age'"),
    ("d.csv", "x_0,x_1,y_0,label\n1,2,3,a\n", "as many columns for every channel"),
    ("d.csv", WIDE.replace(",label", ",t_3").replace(",a", ",0.5").replace(",b", ",1"), "labels"),
    ("d.tsv", "1\t2.5\n1\ttwo\n", "'two' in row 2, column 2"),
    ("d.txt", "1 2.5 3\n2 4.5\n", "got 2 cells in row 2"),
    ("d.ts", TS.replace("5", "five"), "'five' in row 4, channel 1, column 2"),
    ("d.ts", TS.replace("4,5,6", "4,5"), "got 3 values in the first and 2 in row 4"),
    ("d.ts", TS.replace("4,5,6", "4,5,6:1,2,3"), "got 1 in the first and 2 in row 4"),
    ("d.ts", TS.replace("4,5,6", "4,5,6:1,2"), r"\[3, 2\] values in row 4"),
    ("d.ts", TS.replace("6:b", "6"), "label after the last colon .* row 4"),
    ("d.ts", TS.replace("@data", ""), "a line '@data'"),
    ("d.ts", TS.replace("@data", "@timestamps true\n@data"), "time stamps"),
    ("d.ts", TS.replace("@data", "@targetlabel true\n@data"), "regression"),
    ("d.ts", "@classLabel false\n@data\n1,2\n", "d_labels.csv"),
    ("d.ts", "@classLabel true a b\n@data\n", "at least one series"),
    ("d.arff", ARFF.replace("5", "five"), "'five' in row 4, channel 1, column 2"),
    ("d.arff", ARFF.replace("4,5,6", "4,5"), "got 3 values in the first and 2 in row 4"),
    ("d.arff", ARFF.replace("4,5,6,b", "{0 4, 1 5}"), "dense form"),
    ("d.npz", b"no zip", "NumPy archive"),
    ("d.npz", {"X": panel()}, "d_labels.csv"),
    ("d.npz", {"X_train": panel()}, r"no array X \(but X_train\)"),
    ("d.npz", {"X": panel()[:, 0, 0], "y": LABELS}, r"shape \(9,\)"),
    ("d.npz", {"X": panel(), "y": LABELS[:-1]}, r"y of shape \(8,\)"),
    ("d.npz", {"X": np.array([[1], [1, 2]], object), "y": LABELS[:2]}, "type object"),
    ("d.npz", {"X": panel(), "y": LABELS.astype(object)}, "y that can't be read"),
    ("d.npz", {"X": panel(), "y": np.arange(9) / 2}, r"whole numbers, got 0\.5 in X\[1\]"),
    ("d.npz", {"X": panel(), "y": LABELS.astype("S")}, r"y of type \|S"),
    ("d.npz", {"X": panel(), "y": np.arange(9).astype("M8[D]")}, "y of type datetime64"),
    ("d.npz", {"X": panel().T, "y": LABELS[:T]}, "Fortran order"),
    ("d.npz", {"X": np.where(np.arange(T) == 3, np.inf, panel()), "y": LABELS}, r"X\[0\]"),
    ("d.npz", {"X": np.full((2, 3), np.nan), "y": LABELS[:2]}, "got none in X"),
    ("d.parquet", b"nothing", "Parquet file"),
    ("d.xlsx", b"", "one of the formats"),
]


def write_bad(path, content):
    if isinstance(content, dict):
        np.savez(path, **content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content)


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_bad_files(name, content, message, tmp_path):
    if name == "d.parquet":
        pytest.importorskip("pyarrow")
    write_bad(tmp_path / name, content)
    with pytest.raises(ValueError, match=message) as caught:
        read_series(tmp_path / name)
    assert ", got " in str(caught.value)
    assert (
        str(tmp_path / name) in str(caught.value)
        or "d_labels" in str(caught.value)
        or name == "d.xlsx"
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("place", [0.1, 0.3, 0.5])
def test_damaged_archives(save, place, tmp_path):
    path = tmp_path / "d.npz"
    save(path, X=np.random.default_rng(0).standard_normal((50, 30)), y=np.arange(50) % 2)
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"d\.npz must"):
        read_series(path)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "d.csv")
    with pytest.raises(OSError, match="a device or pipe"):
        read_series(tmp_path / "d.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("u\n", "got 1 labels for 2 series"),
        ("u,1\nv,2\n", "name its column 'label'"),
        ("label,id\nu,a\nv\n", "got 1 cells in row 3"),
        ("label,id\nu,a\nv,a\n", "got none for series 'b'"),
        ("label,id\nu,a\nv,b\nv,b\n", "got an id twice"),
        ("label,id\nu,a\n,b\n", "for row 3"),
    ],
)
def test_bad_labels_beside(text, message, tmp_path):
    check_bad_labels(text.encode(), message, tmp_path)


def test_labels_beside_that_are_no_text(tmp_path):
    check_bad_labels(b"label\n\xe9\n", r"d_labels\.csv must be text in UTF-8", tmp_path)


def check_bad_labels(content, message, tmp_path):
    write_csv(tmp_path / "d.csv", [["id", "t_0", "t_1"], ["a", 0.5, 1], ["b", 1.5, 2]])
    (tmp_path / "d_labels.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_series(tmp_path / "d.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(label_column="kind"), r"column 'kind', got columns 't_0, t_1, t_2, label'"),
        (Options(label_column="9"), "4 columns"),
        (Options(time_column="t_0"), "--id-column"),
        (Options(ignore=("t_0", "t_1", "t_2")), "columns of values, got none"),
        (Options(Path("d.csv"), "label"), "one place"),
    ],
)
def test_bad_options(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text(WIDE)
    with pytest.raises(ValueError, match=message):
        read_series("d.csv", options)
    Path("d.ts").write_text(TS)
    if options.columns and options.labels is None:
        with pytest.raises(ValueError, match="for tables"):
            read_series("d.ts", options)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    (tmp_path / "d.parquet").write_bytes(b"")
    with pytest.raises(ImportError, match=r"pip install tsguard\[parquet\]"):
        read_series(tmp_path / "d.parquet")


def test_a_label_that_the_header_does_not_name_is_refused(tmp_path):
    (tmp_path / "d.ts").write_text(
        "@classLabel true Run walk\n@equalLength true\n@data\n1,2,3:run\n1,2,4:WALK\n1,2,5:wlak\n"
    )
    with pytest.raises(ValueError, match=r"names 'Run, walk', got 'wlak' in row 6; correct"):
        read_series(tmp_path / "d.ts")


@pytest.mark.parametrize("ignore", ["1", 1, [1], ("1",)])
def test_columns_by_number(ignore):
    named = named_columns(ignore, label_column=-1, id_column=None)
    assert named == {"label_column": "-1", "id_column": None, "ignore": ("1",)}
    with pytest.raises(TypeError, match="label_column must be a column's name or number, got list"):
        named_columns(label_column=[1])
