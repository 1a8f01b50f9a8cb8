"""``tsguard scan`` and ``predict``: verdicts, files, the review, the page, and what they refuse."""

import base64
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

import tsguard
from tsguard import E2ABLClassifier, attacks, load, load_dataset, poison, predict_file, scan
from tsguard._atomic import folder_in_one_go
from tsguard._cli import _build_parser, main
from tsguard._scan import _run
from tsguard._scan._decisions import apply_decisions, read_decisions
from tsguard._scan._figures import thin
from tsguard._scan._finding import Finding
from tsguard._scan._report import verdict_of
from tsguard._scan._trigger import estimate_trigger, nearest_unsuspected
from tsguard._tables import Options, read_series
from tsguard.suspicion import UNKNOWN

N = 150
FAST = ["--backbone", "fcn", "--epochs", "3", "--device", "cpu"]
EVIL = "walk <img src=x onerror=alert(1)>"  # a label that tries to become part of the page
FILES = ["data_cleaned.csv", "model", "report.html", "report.json", "suspects.csv"]


@pytest.fixture(scope="module")
def poisoned():
    data = load_dataset("ItalyPowerDemand")
    X = np.concatenate([data.X_train, data.X_test])[:N]
    y = np.where(np.concatenate([data.y_train, data.y_test])[:N] == "1", EVIL, 'run, "fast"')
    return poison(X, y, attacks.PatchTrigger(), rate=0.1, target=EVIL, random_state=0)


def write_wide(path, X, y):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*(f"t_{i}" for i in range(X.shape[2])), "label"])
        writer.writerows([*map(str, one), label] for one, label in zip(X[:, 0], y, strict=True))


@pytest.fixture(scope="module")
def data(poisoned, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.csv"
    write_wide(path, poisoned.X, poisoned.y)
    return path


@pytest.fixture(scope="module")
def scanned(data, tmp_path_factory):
    """Output and folder of one scan with training, run as a user runs it."""
    out = tmp_path_factory.mktemp("scan") / "out"
    command = [sys.executable, "-m", "tsguard", "scan", str(data), "--out", str(out), *FAST]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 3, process.stderr
    return process, out


@pytest.fixture(scope="module")
def audited(data, tmp_path_factory):
    """Folder and report of one scan without training."""
    out = tmp_path_factory.mktemp("audit") / "out"
    return out, scan(data, out, train=False)


def suspects_of(out):
    return pd.read_csv(out / "suspects.csv", keep_default_na=False)


# --- a scan


def test_verdict_and_files(scanned, poisoned):
    process, out = scanned
    found = re.match(
        r"Likely backdoored: class '(.*)', about (\d+) of 150 series, confidence 0\.\d\d\n",
        process.stdout,
    )
    assert found[1] == EVIL
    assert abs(int(found[2]) - poisoned.is_poisoned.sum()) <= 3
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert all(name in process.stdout for name in FILES)
    assert "epoch" in process.stderr


def test_suspects_are_the_poison(scanned, poisoned):
    rows = suspects_of(scanned[1])
    assert list(rows) == ["index", "label", "suspicion", "recovered_label", "reason"]
    assert (rows["label"] == EVIL).all()
    assert (np.diff(rows["suspicion"]) <= 0).all()
    assert poisoned.is_poisoned[rows["index"]].mean() > 0.8
    told = rows[rows["recovered_label"] != ""]
    assert (told["recovered_label"] == poisoned.y_clean[told["index"]]).mean() > 0.8
    assert (
        rows["reason"].str.contains("can't be told").tolist()
        == (rows["recovered_label"] == "").tolist()
    )


def test_cleaned_data_are_the_original_values(scanned, data):
    out = scanned[1]
    rows = suspects_of(out)
    given, cleaned = read_series(data), read_series(out / "data_cleaned.csv")
    recovered = dict(zip(rows["index"], rows["recovered_label"], strict=True))
    expected = [recovered.get(i, label) for i, label in enumerate(given.labels.tolist())]
    keep = [i for i, label in enumerate(expected) if label]
    assert cleaned.labels.tolist() == [expected[i] for i in keep]
    for one, i in zip(cleaned.series, keep, strict=True):
        np.testing.assert_array_equal(one, given.series[i])


def test_report_json(scanned, data):
    out = scanned[1]
    report = json.loads((out / "report.json").read_text())
    rows = suspects_of(out)
    assert report["suspects"] == json.loads(rows.to_json(orient="records"))
    assert report["n_suspects"] == report["n_relabelled"] + report["n_dropped"] == len(rows)
    assert report["suspected_classes"] == [EVIL]
    assert (report["suspicious"], report["exit_code"]) == (True, 3)
    assert report["files"] == [name for name in FILES if name != "report.json"]
    assert report["data"]["lengths"] == [24, 24]
    assert report["settings"]["n_epochs"] == 3
    assert report["versions"]["tsguard"] == tsguard.__version__
    assert report["command"] == f"tsguard scan {data} --out {out} {' '.join(FAST)} --seed 0"


def test_model_is_the_one_that_found_them(scanned, poisoned):
    out = scanned[1]
    model = load(out / "model")
    assert np.flatnonzero(model.suspect_mask_).tolist() == sorted(suspects_of(out)["index"])
    assert (model.predict(poisoned.X) == poisoned.y_clean).mean() > 0.6


def test_audit_needs_no_networks(data, tmp_path):
    """Nothing of ours that uses torch is imported (aeon imports torch itself where it finds it)."""
    code = (
        "import sys; from tsguard._cli import main\n"
        f"code = main(['scan', {str(data)!r}, '--out', {str(tmp_path / 'out')!r}, '--no-train'])\n"
        "assert code == 3 and not {'tsguard._engine', 'tsai'} & set(sys.modules), code"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [name for name in FILES if name != "model"]


def test_audit_accuses_the_same_series(audited, scanned):
    assert sorted(suspects_of(audited[0])["index"]) == sorted(suspects_of(scanned[1])["index"])


def test_audit_keeps_the_number_of_torch_threads(data, tmp_path):
    """Else every network trained afterwards in this process is many times slower."""
    before = torch.get_num_threads()
    scan(data, tmp_path / "out", train=False)
    assert torch.get_num_threads() == before


def test_clean_data(tmp_path, capsys):
    data = load_dataset("ItalyPowerDemand")
    np.savez(tmp_path / "data.npz", X=data.X_train, y=data.y_train)
    path, out = str(tmp_path / "data.npz"), tmp_path / "out"
    assert main(["scan", path, "--out", str(out), "--no-train", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "report.json").read_text())
    assert report["verdict"].startswith("Nothing suspicious found: ")
    assert report["n_suspects"] == 0
    assert suspects_of(out).empty
    with np.load(out / "data_cleaned.npz") as arrays:
        np.testing.assert_array_equal(arrays["X"], data.X_train)
    page = (out / "report.html").read_text()
    assert "Nothing suspicious found" in page
    assert "<script" not in page


def test_unequal_lengths_and_gaps_stay_in_the_cleaned_file(poisoned, tmp_path):
    rows = ["@equalLength false", "@classLabel true a b", "@data"]
    for i, one in enumerate(poisoned.X[:, 0]):
        values = [f"{value}" for value in one[: 24 - i % 3]]
        values[5] = "?" if i == 7 else values[5]
        rows.append(f"{','.join(values)}:{'a' if poisoned.y[i] == EVIL else 'b'}")
    (tmp_path / "data.ts").write_text("\n".join(rows) + "\n")
    report = scan(tmp_path / "data.ts", tmp_path / "out", train=False)
    assert report["data"]["lengths"] == [22, 24]
    assert report["data"]["n_with_missing_values"] == 1
    lines = (tmp_path / "out" / "data_cleaned.ts").read_text().splitlines()
    values = {line.rpartition(":")[0] for line in rows[3:]}
    assert len(lines) - 3 == N - report["n_dropped"]
    assert {line.rpartition(":")[0] for line in lines[3:]} <= values
    page = (tmp_path / "out" / "report.html").read_text()
    assert "stretched to one length" in page
    assert "Missing values in 1 series" in page


@pytest.mark.parametrize("relabelled", [True, False])
def test_the_rest_of_a_group_is_cleared_where_most_were_relabelled_and_not_kept(relabelled):
    """Relabelled series still have the trigger; kept ones say nothing of the others."""
    one = finding([True, True, True, True], [1, 1, 1, 0], [0, 0, 0, 1])
    decided = np.array([True, True, False, False])
    cleared = one.cleared(decided, decided & relabelled)
    assert cleared.suspect.tolist() == [False, False, not relabelled, True]
    assert cleared.labels.tolist() == ["a", "a", "a" if relabelled else "b", "a"]


# --- verdicts and estimates, as pure functions


def finding(suspect, recovered, codes, reasons=None, withheld=None):
    return Finding(
        np.array(["a", "b", "c"]),
        np.array(codes),
        np.linspace(0.9, 0.1, len(codes)),
        np.array(suspect),
        np.array(recovered),
        np.zeros(len(codes), bool) if withheld is None else np.array(withheld),
        [""] * len(codes) if reasons is None else reasons,
    )


def test_finding_says_who_is_told_and_who_is_cleared():
    one = finding([True, True, False], [1, UNKNOWN, 2], [0, 0, 2], ["x", "x", ""])
    assert one.targets.tolist() == ["a"]
    assert one.told.tolist() == [True, False, False]
    assert one.labels.tolist() == ["b", "a", "c"]
    assert one.confidence == 0.9
    cleared = one.cleared(np.array([True, False, False]), np.zeros(3, bool))
    assert cleared.suspect.tolist() == [False, True, False]
    assert cleared.labels.tolist() == ["a", "a", "c"]
    assert cleared.suspicion.tolist() == [0, 0.5, 0.1]
    assert cleared.reasons == ["", "x", ""]


def test_verdict_names_several_classes(audited):
    outcome = type("Outcome", (), {})()
    outcome.finding = finding([True] * 3, [1, 0, 0], [0, 1, 2])
    outcome.panel, outcome.decisions = np.zeros((40, 1, 30)), []
    assert verdict_of(outcome) == (
        "Likely backdoored: classes 'a', 'b' and 'c', about 3 of 40 series, confidence 0.90"
    )
    outcome.finding = finding([False] * 3, [0, 1, 2], [0, 1, 2])
    assert "found: no group" in verdict_of(outcome)
    outcome.panel, outcome.decisions = np.zeros((12, 1, 30)), [object()]
    assert verdict_of(outcome).startswith("Nothing suspicious left after the review: too little")


def test_trigger_estimate_is_what_the_suspects_have_more(waves):
    X, y = waves
    codes = np.unique(y, return_inverse=True)[1]
    change = np.zeros((2, 24), np.float32)
    change[1, 3:6] = 4
    suspect = np.zeros(60, bool)
    suspect[np.flatnonzero(codes == 1)[:6]] = True
    stamped, given = X + suspect[:, None, None] * change, np.where(suspect, 0, codes)
    neighbours = nearest_unsuspected(stamped, suspect, given, np.where(suspect, 1, given))
    assert sorted(neighbours) == np.flatnonzero(suspect).tolist()
    for places in neighbours.values():
        assert len(places) == 3
        assert (given[places] == 1).all()
        assert not suspect[places].any()
    estimate = estimate_trigger(stamped, np.flatnonzero(suspect), given, neighbours)
    assert np.abs(estimate.shape - change).max() < 0.5
    assert (estimate.channel, estimate.n_suspects) == (1, 6)
    assert codes[estimate.host] == 1
    by_hand = np.mean([stamped[i] - stamped[j].mean(axis=0) for i, j in neighbours.items()], axis=0)
    np.testing.assert_allclose(estimate.shape, by_hand, atol=1e-6)


def test_neighbours_are_the_nearest_and_of_any_other_class_if_unknown():
    X = np.array([0, 9, 1, 2, 30, 10.0], np.float32).reshape(6, 1, 1) * np.ones(
        (1, 1, 4), np.float32
    )
    suspect, codes = np.arange(6) < 2, np.array([0, 0, 1, 2, 1, 0])
    recovered = np.array([UNKNOWN, 1, 1, 2, 1, 0])
    found = nearest_unsuspected(X, suspect, codes, recovered)
    assert {k: v.tolist() for k, v in found.items()} == {0: [2, 3, 4], 1: [2, 4]}
    nobody = nearest_unsuspected(X, suspect, codes, np.array([3, 3, 1, 2, 1, 0]))
    assert estimate_trigger(X, np.array([0, 1]), codes, nobody) is None
    far_from_0 = nearest_unsuspected(X + np.float32(1e5), suspect, codes, recovered)
    assert {k: v.tolist() for k, v in far_from_0.items()} == {0: [2, 3, 4], 1: [2, 4]}


def test_thinned_lines_keep_their_spikes():
    values = np.zeros(5000)
    values[[1234, 4000]] = 7, -3
    places, kept = thin(values)
    assert len(places) <= 130
    assert {1234, 4000, 0, 4999} <= set(places.astype(int))
    assert (kept == values[places.astype(int)]).all()


def test_suspects_whose_label_may_be_right_are_left_out_and_said_to_be(tmp_path):
    data = load_dataset("GunPoint")
    target = data.classes[0]
    p = poison(
        *(data.X_train, data.y_train, attacks.HumTrigger()),
        **{"rate": 0.1, "target": target, "mode": "clean", "random_state": 0},
    )
    write_wide(tmp_path / "data.csv", p.X, p.y)
    scan(tmp_path / "data.csv", tmp_path / "out", train=False)
    rows = suspects_of(tmp_path / "out")
    assert set(rows["index"]) == set(np.flatnonzero(p.is_poisoned))
    assert (rows["recovered_label"] == "").all()
    assert rows["reason"].str.contains("label may be right, so it is left out").all()
    cleaned = read_series(tmp_path / "out" / "data_cleaned.csv").labels
    assert [str(label) for label in cleaned] == p.y[~p.is_poisoned].tolist()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "which may be right" in page
    assert f"nearest of class {target}" in page


# --- the review


def write_decisions(path, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["index", "decision", "label"], *rows])


def test_decisions_are_obeyed_in_a_second_run(audited, data, tmp_path, capsys):
    rows = suspects_of(audited[0])
    kept, relabelled, dropped = rows["index"][:2], rows["index"][2:-3], rows["index"][-3:]
    other = read_series(data).labels[read_series(data).labels != EVIL][0]
    decisions = [[i, "keep", ""] for i in kept] + [[i, "drop", ""] for i in dropped]
    decisions += [[i, "relabel", other] for i in relabelled]
    out = tmp_path / "out"
    shutil.copytree(audited[0], out)
    write_decisions(out / "decisions.csv", decisions)
    command = ["scan", str(data), "--out", str(out), "--no-train"]
    assert main(command) == 2  # the reviewer's work would be lost
    assert "--decisions" in capsys.readouterr().err
    assert main([*command, "--decisions", str(out / "decisions.csv")]) == 0
    assert "Nothing suspicious left after the review" in capsys.readouterr().out
    given, cleaned = read_series(data).labels, read_series(out / "data_cleaned.csv").labels
    expected = given.copy()
    expected[relabelled] = other
    assert cleaned.tolist() == np.delete(expected, dropped).tolist()
    report = json.loads((out / "report.json").read_text())
    assert report["reviewed"]["keep"] == 2
    assert report["reviewed"]["drop"] == 3
    again = read_decisions(out / "decisions.csv", given)
    assert sorted(map(int, rows["index"])) == [one.index for one in again]
    assert suspects_of(out).empty


def test_the_reviewer_has_the_last_word_in_training(audited, data, tmp_path):
    """Suspects that the reviewer keeps are learned as given, whatever the defense thinks."""
    rows = suspects_of(audited[0])
    write_decisions(tmp_path / "decisions.csv", [[i, "keep", ""] for i in rows["index"][:-2]])
    report = scan(
        data,
        tmp_path / "out",
        decisions=tmp_path / "decisions.csv",
        backbone="fcn",
        n_epochs=2,
        device="cpu",
    )
    assert report["reviewed"]["doubted_again"] > 5
    assert set(suspects_of(tmp_path / "out")["index"]) == set(rows["index"][-2:])
    model = load(tmp_path / "out" / "model")
    assert not model.suspect_mask_.any()
    assert len(model.suspicion_) == N - report["n_dropped"] - len(report["withheld"])
    left = suspects_of(tmp_path / "out").query("recovered_label == ''")["index"]
    learned = np.setdiff1d(np.arange(N), [*left, *report["withheld"]])
    labels = dict(zip(learned, model.sample_report_["given_label"], strict=True))
    assert {labels[i] for i in rows["index"][:-2]} == {EVIL}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "The reviewer has the last word" in page


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["9", "keep"]], None),
        ([["9", "KEEP", "ignored"], [], ["2", "relabel", "b"]], None),
        ([["9", "burn", ""]], "got 'burn' in row 2"),
        ([["nine", "keep", ""]], "got 'nine,keep,' in row 2"),
        ([["10", "keep", ""]], "index from 0 to 9"),
        ([["9", "relabel", "c"]], "got 'c' in row 2"),
        ([["9", "relabel"]], "got '' in row 2"),
        ([["9", "keep", ""], ["9", "drop", ""]], "index 9 again in row 3"),
        ([["9", "keep", "", "x"]], "in row 2"),
    ],
)
def test_decisions_file(rows, message, tmp_path):
    labels = np.array(["a", "b"] * 5)
    write_decisions(tmp_path / "d.csv", rows)
    if message is None:
        reviewed = apply_decisions(read_decisions(tmp_path / "d.csv", labels), labels)
        assert reviewed.decided[9]
        assert reviewed.rows.tolist() == list(range(10))
    else:
        with pytest.raises(ValueError, match=message):
            read_decisions(tmp_path / "d.csv", labels)


def test_decisions_that_pandas_wrote(tmp_path):
    frame = pd.DataFrame({"index": [0, 1], "decision": ["relabel", "drop"], "label": [2, None]})
    frame.to_csv(tmp_path / "d.csv", index=False)
    assert "2.0" in (tmp_path / "d.csv").read_text()
    first, second = read_decisions(tmp_path / "d.csv", np.array([1, 2, 2]))
    assert (first.label, second.kind) == (2, "drop")


@pytest.mark.parametrize("text", ["", "index,decision\n1,keep\n", "\xff"])
def test_decisions_file_of_another_form(text, tmp_path):
    (tmp_path / "d.csv").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"d\.csv must be"):
        read_decisions(tmp_path / "d.csv", np.array(["a", "b"]))


# --- predictions


def test_pieces_predict_what_the_whole_predicts(scanned, data, poisoned):
    model = load(scanned[1] / "model")
    whole = predict_file(model, data)
    pieces = predict_file(scanned[1], data, chunk_size=7)  # the folder of a scan is a model's too
    pd.testing.assert_frame_equal(whole, pieces, rtol=1e-5)
    assert list(whole) == ["index", "id", "predicted", "probability", "trigger_score"]
    assert whole["predicted"].tolist() == model.predict(poisoned.X).tolist()
    np.testing.assert_allclose(whole["probability"], model.predict_proba(poisoned.X).max(axis=1))
    np.testing.assert_allclose(whole["trigger_score"], model.trigger_score(poisoned.X))


def test_only_a_piece_is_in_memory(scanned, data, monkeypatch):
    sizes = []
    real = E2ABLClassifier.predict_proba
    monkeypatch.setattr(
        E2ABLClassifier, "predict_proba", lambda self, X: sizes.append(len(X)) or real(self, X)
    )
    predict_file(scanned[1], data, chunk_size=64)
    assert sizes == [64, 64, 22]


def test_predict_prints_and_writes_csv_and_json(scanned, data, tmp_path, capsys):
    command = ["predict", str(scanned[1] / "model"), str(data), "--device", "cpu"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert main([*command, "--out", str(tmp_path / "p.csv")]) == 0
    assert main([*command, "--out", str(tmp_path / "p.json")]) == 0
    assert (tmp_path / "p.csv").read_text() == printed
    assert json.loads((tmp_path / "p.json").read_text()) == records
    assert len(records) == N
    table = pd.read_csv(tmp_path / "p.csv")
    assert table["predicted"].tolist() == [one["predicted"] for one in records]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "p.json"]


def test_predict_needs_no_labels_and_stretches(scanned, poisoned, tmp_path):
    rows = [["series", "time", "v"]]
    rows += [[f"s{i}", t, poisoned.X[i, 0, t]] for i in range(3) for t in range(24 - i)]
    with (tmp_path / "new.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    found = predict_file(scanned[1], tmp_path / "new.csv")
    assert found["id"].tolist() == ["s0", "s1", "s2"]
    assert found["predicted"][0] == load(scanned[1] / "model").predict(poisoned.X[:1])[0]


def test_empty_rows_at_the_end_are_none(scanned, poisoned, tmp_path):
    pd.DataFrame(poisoned.X[:3, 0]).to_csv(tmp_path / "new.csv", index=False)
    with (tmp_path / "new.csv").open("a") as stream:
        stream.write(2 * ("," * (poisoned.X.shape[2] - 1) + "\n") + "\n")
    assert len(predict_file(scanned[1], tmp_path / "new.csv")) == 3  # nor is the header a series


def test_models_without_a_trap_have_no_trigger_score(data, poisoned):
    from tsguard.defenses import StandardClassifier

    model = StandardClassifier("fcn", n_epochs=1, random_state=0).fit(poisoned.X, poisoned.y)
    assert predict_file(model, data)["trigger_score"].isna().all()
    with pytest.raises((NotFittedError, AttributeError)):
        predict_file(StandardClassifier("fcn"), data)


# --- bad input: one sentence, exit code 2, nothing written

WIDE = "t_0,t_1,t_2,label\n" + "".join(f"{i},{i},{i + 0.5},{'ab'[i % 2]}\n" for i in range(24))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text(WIDE)
    return tmp_path


def refused(capsys, folder, arguments):
    """Run a command that must be refused; return its message."""
    before = sorted(str(path) for path in folder.rglob("*"))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    message = captured.err.splitlines()[-1]
    assert message.startswith("tsguard: error: ")
    assert "Errno" not in message
    assert sorted(str(path) for path in folder.rglob("*")) == before
    return message


def commands(out):
    return {
        "scan": ["scan", "data.csv", "--out", "out", *FAST],
        "audit": ["scan", "data.csv", "--out", "out", "--no-train"],
        "predict": ["predict", str(out), "data.csv", "--out", "out.csv", "--device", "cpu"],
        "print": ["predict", str(out), "data.csv"],
    }


@pytest.mark.parametrize("command", ["scan", "audit", "predict", "print"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "data.csv, which is not there"),
        ("directory", "got the directory data.csv"),
        ("unreadable", "without permission"),
        ("binary", "UTF-8"),
        ("empty", "at least one series"),
        ("ragged", "got 3 cells in row 4 where there should be 4"),
        ("word", r"'five' in row 4, column 2 \('t_1'\)"),
        ("hollow", "only empty cells in row 4"),
        ("unknown", "one of the formats"),
    ],
)
def test_bad_data_for_every_command(command, change, message, folder, scanned, capsys, monkeypatch):
    path, arguments = folder / "data.csv", commands(scanned[1])[command]
    if change in ("missing", "directory"):
        path.unlink()
        if change == "directory":
            path.mkdir()
    elif change == "unreadable":
        monkeypatch.setattr(os, "access", lambda *_: False)
    elif change == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    elif change == "unknown":
        path.rename(folder / "data.docx")
        arguments = [one.replace("data.csv", "data.docx") for one in arguments]
    else:
        lines = WIDE.splitlines()
        lines[3] = {"ragged": "2,2,b", "word": "2,five,2.5,a", "hollow": ",,,"}.get(change, "")
        path.write_text("" if change == "empty" else "\n".join(lines))
    assert re.search(message, refused(capsys, folder, arguments))


@pytest.mark.parametrize("command", ["scan", "audit"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WIDE.replace("label", "t_3").replace(",a", ",1").replace(",b", ",2"), "come with labels"),
        (WIDE.replace(",b", ",a"), "at least two classes, got one class \\('a'\\)"),
        (WIDE.replace(",b", ","), "label for every series, got none in row 3"),
        (re.sub(r"(\d+),(.*),[ab]", r"\1,\2,of \1", WIDE), "got 24 labels for 24 series; check"),
        (
            re.sub(r"(\d*)(\d),(.*),[ab]", r"\1\2,\3,\2.5", WIDE),
            r"got numbers such as '\d.5'; check",
        ),
        (WIDE.replace("t_2", "t_1"), "name every column of values once, got 't_1' twice"),
    ],
)
def test_bad_labels(command, text, message, folder, capsys):
    (folder / "data.csv").write_text(text)
    assert re.search(message, refused(capsys, folder, commands("")[command]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "none.csv"], "labels must be a file, got none.csv"),
        (["--decisions", "none.csv"], "decisions must be a file, got none.csv"),
        (["--decisions", "."], "decisions must be a file, got the directory"),
        (["--label-column", "kind"], "column 'kind'"),
        (["--backbone", "fnc"], "did you mean 'fcn'"),
        (["--epochs", "0"], "n_epochs"),
        (["--device", "tpu9"], "device must be"),
        (["--seed", "-1"], "random_state must be"),
        (["--out", "data.csv"], "folder, got the file"),
        (["--out", "."], "must not hold the data"),
        (["--out", "full"], "earlier scan, got .* with mine.txt"),
    ],
)
def test_bad_options_of_scan(options, message, folder, capsys):
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("precious")
    assert re.search(message, refused(capsys, folder, [*commands("")["scan"], *options]))


def test_a_model_knows_how_many_columns_are_values(scanned, poisoned, tmp_path):
    """Without a header a first column of whole numbers would else be taken for the label."""
    panel = poisoned.X[:9].copy()
    panel[:, 0, 0] = 0
    np.savetxt(tmp_path / "bare.csv", panel[:, 0], delimiter=",", fmt="%.7g")
    model = load(scanned[1] / "model")
    found = predict_file(model, tmp_path / "bare.csv")
    np.testing.assert_allclose(found["probability"], model.predict_proba(panel).max(1), atol=1e-4)


def test_a_scan_without_training_has_no_model(audited, data, capsys):
    assert main(["predict", str(audited[0]), str(data)]) == 2
    assert "made with --no-train; scan again" in capsys.readouterr().err


def test_bad_options_of_predict(folder, scanned, capsys):
    arguments = commands(scanned[1])["predict"]
    for place, value, message in [
        (1, "nowhere", "MODEL must be a folder .* not there"),
        (1, "data.csv", "MODEL must be a folder .* file"),
        (1, ".", "folder must hold a model"),
        (4, "p.xlsx", "out must be a .csv or .json"),
        (4, "dir.csv", "out must be a new file .* directory"),
        (6, "tpu9", "device must be"),
    ]:
        (folder / "dir.csv").mkdir(exist_ok=True)
        changed = [value if i == place else one for i, one in enumerate(arguments)]
        assert re.search(message, refused(capsys, folder, changed))
    (folder / "data.csv").write_text("x_0,x_1,y_0,y_1\n1,2,3,4\n")
    assert "must have the 1 channel(s)" in refused(capsys, folder, arguments)


@pytest.mark.parametrize("command", ["audit", "predict"])
def test_no_permission_to_write(command, folder, scanned, capsys, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    message = refused(capsys, folder, commands(scanned[1])[command])
    assert "out could not be written" in message
    assert "permission denied" in message


@pytest.mark.parametrize("command", ["audit", "predict"])
def test_disk_full(command, data, scanned, folder):
    # The system refuses files above 2 kB, as it refuses them on a full disk; in a process of its
    # own, because the limit would also meet the file that this test run may be printed to.
    arguments = [str(data) if one == "data.csv" else one for one in commands(scanned[1])[command]]
    before = sorted(folder.rglob("*"))
    code = (
        "import resource, sys; from tsguard._cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.splitlines()[-1].startswith("tsguard: error: out could not be written")
    assert sorted(folder.rglob("*")) == before


def test_standard_output_that_cannot_be_written(scanned, data):
    command = [sys.executable, "-m", "tsguard", "predict", str(scanned[1]), str(data)]
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert process.returncode == 2
    assert process.stderr.startswith(
        "tsguard: error: the predictions could not be written (no space"
    )
    assert process.stderr.count("\n") == 1


def test_an_earlier_scan_survives_a_failure(audited, data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(audited[0], out)
    before = (out / "report.json").read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(_run, "audit", fail)
    with pytest.raises(OSError, match="no space left on device"):
        scan(data, out, train=False)
    assert (out / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    monkeypatch.undo()
    scan(data, out, train=False, random_state=1)  # and is replaced by a success
    assert json.loads((out / "report.json").read_text())["settings"]["random_state"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_comes_back_if_it_cannot_be_replaced(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("")
    real = type(tmp_path).rename

    def rename(self, target):
        if self.name.endswith(".part") and target.name == "out" and (self / "new").exists():
            raise OSError(5, "Input/output error", str(self))
        return real(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", rename)
    with pytest.raises(OSError, match="Input/output"), folder_in_one_go(tmp_path / "out") as part:
        (part / "new").write_text("")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_labels_beside_the_data(poisoned, tmp_path):
    np.savez(tmp_path / "data.npz", X=poisoned.X)
    (tmp_path / "mine.txt").write_text("\n".join(poisoned.y.tolist()))
    report = scan(tmp_path / "data.npz", tmp_path / "o", train=False, labels=tmp_path / "mine.txt")
    assert report["data"]["labels"].endswith("mine.txt")
    cleaned = read_series(tmp_path / "o" / "data_cleaned.npz", Options())
    assert cleaned.labels_path == tmp_path / "o" / "data_cleaned_labels.txt"
    assert len(cleaned.labels) == N - report["n_dropped"]
    assert "--labels" in report["command"]


# --- doctor


def test_doctor(capsys, monkeypatch):
    assert main(["doctor", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["versions"]["tsguard"] == tsguard.__version__
    assert "ItalyPowerDemand" in result["datasets"]
    assert result["problems"] == []
    monkeypatch.setattr("tsguard._doctor.NEEDED", ("no_such_package",))
    assert main(["doctor"]) == 2
    text = capsys.readouterr().out
    assert "no_such_package" in text
    assert "can't be imported (ModuleNotFoundError" in text


# --- the page


def test_page_needs_nothing_else_and_labels_stay_text(scanned):
    page = (scanned[1] / "report.html").read_text()
    assert not re.search(r"https?:|url\(|@import|<link|<iframe|<object|<embed", page)
    assert not re.search(r"<[^>]+\s(src|href|action)\s*=\s*[\"'](?!#)", page)
    assert "default-src 'none'" in page
    assert "<img" not in page
    assert "&lt;img src=x" in page


def test_page_is_accessible(scanned):
    page = (scanned[1] / "report.html").read_text()
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page
    drawings = re.findall(r"<svg[^>]*>", page)
    assert len(drawings) > 10
    assert all(re.search(r'role="img" aria-label="[^"]{10,}"', one) for one in drawings)
    assert page.count('<input type="checkbox">') == page.count("<label><input")
    assert page.count("<select") == page.count("<select aria-label=")
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert all(low >= high - 1 for high, low in zip(levels[1:], levels, strict=False))


def test_colours_have_contrast():
    """Text on its ground, as WCAG 2 counts it: 4.5 : 1 at least."""

    def light(colour):
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    grounds = {"#1b1f24": "#eef7ee", "#374151": "#f9fafb", "#4b5563": "#ffffff"}
    grounds |= {"#1a4f8b": "#ffffff", "#2f6690": "#f9fafb", "#b3261e": "#f9fafb"}
    for text, ground in grounds.items():
        assert (light(ground) + 0.05) / (light(text) + 0.05) >= 4.5, (text, ground)


CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])),
    None,
)


# The browser reads commands from file descriptor 3 and answers on 4.
START = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(one), fcntl.F_DUPFD, 100) for one in sys.argv[1:3])
os.dup2(reads, 3), os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A headless Chromium, spoken to through two pipes (its DevTools protocol)."""

    def __init__(self, folder):
        reads, self._out = os.pipe()
        self._in, writes = os.pipe()
        options = "--headless --no-sandbox --disable-gpu --remote-debugging-pipe"
        options += f" --user-data-dir={folder}/profile"
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, f"{reads}", f"{writes}", CHROMIUM, *options.split()],
            pass_fds=(reads, writes),
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        self._number, self._rest, self._session = 0, b"", None

    def call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                read = os.read(self._in, 1 << 16)
                assert read, "the browser has gone"
                self._rest += read
            line, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path):
        target = self.call("Target.createTarget", url=path.as_uri())["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        # One question: asked one by one, the first may be answered by the empty page before.
        loaded = "location.href !== 'about:blank' && document.readyState === 'complete'"
        for _ in range(400):
            if self.run(loaded):
                return
            time.sleep(0.05)
        raise AssertionError("the page did not load")

    def run(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def close(self):
        self._session = None
        self.call("Browser.close")
        self._process.wait(20)
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="module")
def browser(scanned, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("needs a Chromium (chromium or google-chrome) on the PATH")
    browser = Browser(tmp_path_factory.mktemp("browser"))
    browser.open(scanned[1] / "report.html")
    yield browser
    browser.close()


def test_checkboxes_build_the_decisions_file(browser, scanned, data, tmp_path):
    assert browser.run("document.getElementById('csv').value") == "index,decision,label\n"
    browser.run("document.querySelector('.card input').click()")
    browser.run(
        """{ const list = document.querySelectorAll('.card select')[1];
        list.selectedIndex = Array.from(list.options).findIndex(o => o.text.startsWith('drop'));
        list.dispatchEvent(new Event('change', { bubbles: true })); }"""
    )
    assert browser.run("document.getElementById('count').textContent").startswith("2 of ")
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.run("document.getElementById('download').click()")
    path = tmp_path / "decisions.csv"
    for _ in range(200):
        if path.exists() and path.stat().st_size:
            break
        time.sleep(0.05)
    assert path.read_text() == browser.run("document.getElementById('csv').value")
    found = read_decisions(path, read_series(data).labels)
    rows = suspects_of(scanned[1])
    first, second = rows["index"][:2].tolist()
    by_index = {one.index: (one.kind, one.label) for one in found}
    proposed = rows["recovered_label"][0]
    expected = ("relabel", proposed) if proposed else ("drop", None)
    assert by_index == {first: expected, second: ("drop", None)}
    browser.run("document.getElementById('tick').click()")
    assert browser.run("document.getElementById('csv').value").count("\n") == len(rows) + 1
    browser.run("document.getElementById('untick').click()")
    assert browser.run("document.getElementById('csv').value").count("\n") == 1


@pytest.mark.parametrize(("width", "media"), [(1100, "screen"), (360, "screen"), (760, "print")])
def test_page_fits_screen_phone_and_paper(browser, width, media, tmp_path):
    browser.call("Emulation.setEmulatedMedia", media=media)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    shown = browser.run("getComputedStyle(document.getElementById('result')).display")
    assert (shown == "none") == (media == "print")
    picture = browser.call("Page.captureScreenshot", format="png")["data"]
    (tmp_path / "page.png").write_bytes(base64.b64decode(picture))
    import matplotlib.image

    pixels = matplotlib.image.imread(tmp_path / "page.png")
    assert pixels.shape[1] == width
    assert pixels.std() > 0.05  # something is drawn
    reds = (pixels[..., 0] > 0.6) & (pixels[..., 1] < 0.3) & (pixels[..., 2] < 0.3)
    assert reds.sum() > 50  # the verdict's bar, the suspects' lines


def test_page_works_by_keyboard(browser):
    """Everything that can be used is reached by Tab, and focus is seen."""
    names = "a[href], button, input, select, textarea"
    assert browser.run(
        f"Array.from(document.querySelectorAll('{names}')).every(e => e.tabIndex === 0)"
    )
    box = "document.querySelector('.card input')"
    browser.run(f"{box}.focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=" ", code="Space", text=" ")
    assert browser.run(f"{box}.checked")
    assert browser.run(f"{box}.matches(':focus-visible')")
    assert browser.run(f"getComputedStyle({box}).outlineStyle") == "solid"


def test_how_to_runs_as_written(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parent.parent / "docs" / "scan.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "scan.md", "exec"), {})
    assert "trigger_score" in capsys.readouterr().out
    for command in re.findall(r"^tsguard (.*)$", text, flags=re.MULTILINE):
        _build_parser().parse_args(command.split())


def test_out_may_be_a_link_and_the_seed_any(data, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    report = scan(data, tmp_path / "link", train=False, random_state=None)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "report.json").exists()
    assert isinstance(report["settings"]["random_state"], int)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "there"]
