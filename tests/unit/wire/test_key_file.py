import base64
import os
import stat
from pathlib import Path

import pytest

from duravip.errors import ConfigurationError, DuravipError
from duravip.wire.key_file import add, read_keys, remove_others, switch, write_new

KEY = bytes(range(32))


def key_file(path: Path, text: str, mode: int = 0o600) -> str:
    file = path / "cluster.key"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


def test_a_key_file_has_one_key_a_line_and_comments(tmp_path: Path) -> None:
    one, two = base64.b64encode(KEY).decode(), base64.b64encode(bytes(32)).decode()
    assert read_keys(key_file(tmp_path, f"# ours\n\n{one}  # new\n{two}\r\n{one}\n")) == (KEY, bytes(32))


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("", 0o600, "no cluster key"),
        ("# nothing\n", 0o600, "no cluster key"),
        ("\nabc\n", 0o600, "cluster.key:2"),
        (base64.b64encode(bytes(31)).decode(), 0o600, "32 bytes"),
        ("k\xe9y", 0o600, "32 bytes"),
        (base64.b64encode(KEY).decode(), 0o640, "chmod 600"),
        (base64.b64encode(KEY).decode(), 0o604, "chmod 600"),
    ],
)
def test_a_bad_key_file_is_an_error_that_says_where(tmp_path: Path, text: str, mode: int, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_keys(key_file(tmp_path, text, mode))
    assert caught.value.path.endswith("cluster.key")


def test_a_missing_key_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="duravip keygen"):
        read_keys(str(tmp_path / "none"))


def test_added_switched_and_alone_the_new_key_replaces_the_old_one_and_comments_stay(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"# of mail-1\n{base64.b64encode(KEY).decode()} # 2024\n")
    old, new = add(path)
    assert old == KEY
    assert read_keys(path) == (KEY, new)
    assert switch(path) == read_keys(path) == (new, KEY)
    assert remove_others(path) == read_keys(path) == (new,)
    assert Path(path).read_text().startswith("# of mail-1\n")


def test_of_several_keys_the_one_that_was_added_last_is_switched_to(tmp_path: Path) -> None:
    path = key_file(tmp_path, "")
    Path(path).unlink()
    first = write_new(path)
    add(path)
    *_, last = add(path)
    assert switch(path)[:2] == (last, first)


def test_a_step_keeps_mode_and_owner_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = key_file(tmp_path, base64.b64encode(KEY).decode(), 0o400)
    before = os.stat(path)
    add(path)
    after = os.stat(path)
    assert stat.S_IMODE(after.st_mode) == 0o400
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert os.listdir(tmp_path) == ["cluster.key"]


def test_a_link_to_a_key_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = key_file(tmp_path / "real", base64.b64encode(KEY).decode())
    link = tmp_path / "link"
    link.symlink_to(path)
    add(str(link))
    assert link.is_symlink()
    assert len(read_keys(path)) == 2


def test_nothing_is_switched_to_where_there_is_one_key_only(tmp_path: Path) -> None:
    path = key_file(tmp_path, base64.b64encode(KEY).decode())
    with pytest.raises(DuravipError, match="one key only: `duravip keygen --add"):
        switch(path)


@pytest.mark.parametrize("step", [add, switch, remove_others])
def test_no_step_touches_a_file_that_others_may_read(tmp_path: Path, step: object) -> None:
    path = key_file(tmp_path, base64.b64encode(KEY).decode(), 0o644)
    before = Path(path).read_bytes()
    with pytest.raises(ConfigurationError, match="chmod 600"):
        step(path)  # type: ignore[operator]
    assert Path(path).read_bytes() == before
