"""Files that appear in one go."""

import pytest

from tsguard._atomic import files_in_one_go
from tsguard._cli import main


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files_join_what_is_there_and_replace_their_like(tmp_path):
    out = tmp_path / "new" / "out"
    for text in ("first", "second"):
        with files_in_one_go(out) as part:
            (part / "page").write_text(text)
            (part / "tables").mkdir()
            (part / "tables" / text).write_text("")
            assert part.parent == out.parent
        (out / "mine").write_text("kept")
    assert names(out) == ["mine", "page", "tables"]
    assert ((out / "page").read_text(), names(out / "tables")) == ("second", ["second"])
    assert names(out.parent) == ["out"]


def test_a_failure_changes_nothing(tmp_path):
    def fail(part):
        (part / "page").write_text("half")
        raise OSError("full")

    for out in (tmp_path / "there", tmp_path / "absent"):
        with pytest.raises(OSError, match="full"), files_in_one_go(out) as part:
            fail(part)
    assert names(tmp_path) == []
    (tmp_path / "file").write_text("kept")
    with (
        pytest.raises(NotADirectoryError, match="must be a folder"),
        files_in_one_go(tmp_path / "file"),
    ):
        pass
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--backbone", "fnc"], "did you mean 'fcn'"),
        (["--seed", "-1"], "random_state must be from 0"),
    ],
)
def test_a_demo_that_fails_leaves_nothing(option, message, tmp_path, capsys):
    command = ["demo", "--dataset", "ItalyPowerDemand", "--out", str(tmp_path / "out"), *option]
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert names(tmp_path) == []
