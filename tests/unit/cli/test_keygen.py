import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from duravip.cli.keygen import command
from duravip.cli.main import main
from duravip.wire.key_file import read_keys


def test_a_new_key_is_readable_by_its_owner_only_and_by_read_keys(tmp_path: Path) -> None:
    file = tmp_path / "key"
    result = CliRunner().invoke(command, [str(file)])
    assert result.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(read_keys(str(file))) == 1


def test_every_key_is_another(tmp_path: Path) -> None:
    printed = {CliRunner().invoke(command, []).stdout for _ in range(3)}
    assert len(printed) == 3


def test_an_existing_file_is_left_alone_with_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "key"
    file.write_text("mine")
    with pytest.raises(SystemExit) as left:
        main(["keygen", str(file)])
    assert left.value.code == 1
    assert "exists already" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["keygen", "/no/such/directory/key"])
    assert left.value.code == 1
    assert "cannot write /no/such/directory/key" in capsys.readouterr().err


def test_each_step_says_which_key_seals_which_are_opened_and_what_to_do_next(tmp_path: Path) -> None:
    file = str(tmp_path / "key")
    made = CliRunner().invoke(command, [file]).stdout.split("(")[1][:8]
    added = CliRunner().invoke(command, ["--add", file]).stdout
    assert f"{made} seals; " in added
    assert "`duravip reload` on each, before the next step" in added
    new = added.split("seals; ")[1][:8]
    assert f"{new} seals; {made} can be opened too" in CliRunner().invoke(command, ["--switch", file]).stdout
    assert f"{new} seals, and nothing else is opened" in CliRunner().invoke(command, ["--remove", file]).stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--add"], 2, "--add changes a key file: name it"),
        (["--add", "--switch", "FILE"], 2, "--add and --switch are two steps"),
        (["--switch", "FILE"], 1, "one key only: `duravip keygen --add"),
        (["--remove", "/no/such/key"], 2, "cannot read the cluster key"),
    ],
)
def test_a_step_that_cannot_be_taken_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    file = tmp_path / "key"
    CliRunner().invoke(command, [str(file)])
    with pytest.raises(SystemExit) as left:
        main(["keygen", *(str(file) if word == "FILE" else word for word in words)])
    assert left.value.code == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
