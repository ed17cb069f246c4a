"""Files are whole or untouched, and the folders move with their environment variables."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib import files
from sfc_lib.errors import UserError

FOLDERS = {
    "SFC_DATA_DIR": files.data_dir,
    "SFC_RUNS_DIR": files.runs_dir,
    "SFC_PUBLISHED_DIR": files.published_dir,
}
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.write_bytes(b"old")
    return path


def write_half_and_raise(path, error):
    with files.atomic_write(path) as file:
        file.write(b"half")
        raise error


def test_atomic_write_replaces_the_content_and_makes_the_folder(target):
    for path in (target, target.parent / "new" / "file"):
        with files.atomic_write(path) as file:
            file.write(b"new")
        assert path.read_bytes() == b"new"
        assert path.stat().st_mode & 0o777 == 0o644
        assert [entry for entry in path.parent.iterdir() if entry.is_file()] == [path]


def test_old_content_shows_until_the_block_has_ended(target):
    with files.atomic_write(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_write_keeps_the_old_content_if_the_block_raises(target, error):
    with pytest.raises(error):
        write_half_and_raise(target, error)
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_atomic_folder_takes_the_place_of_another_or_leaves_it(target):
    folder = target.parent
    for name, error in (("new", None), ("half", ValueError), ("half", KeyboardInterrupt)):
        with nullcontext() if error is None else pytest.raises(error):
            fill_and_raise(folder, name, error)
        assert [path.name for path in folder.iterdir()] == ["new"]
        assert [path.name for path in folder.parent.iterdir()] == ["folder"]
        assert folder.stat().st_mode & 0o777 == 0o755


def fill_and_raise(folder, name, error):
    with files.atomic_folder(folder) as new:
        (new / name).write_bytes(b"x")
        assert folder.is_dir()
        if error:
            raise error


@pytest.mark.parametrize("place", ["folder", "folder/file/below", "/proc/below"])
def test_place_that_can_not_be_written_to_is_named_not_the_scratch_file(target, tmp_path, place):
    with (
        pytest.raises(OSError, match=r"folder|/proc") as told,
        files.atomic_write(tmp_path / place),
    ):
        pass
    assert str(tmp_path / place).startswith(told.value.filename)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("folder", ["folder/file", "folder/file/below", "/proc", "/proc/nothing"])
def test_a_folder_where_nothing_can_be_written_is_named_with_advice(target, tmp_path, folder):
    expected = f"^{tmp_path / folder}: expected a folder that can be written to, got: .+ Do this"
    with pytest.raises(UserError, match=expected):
        files.writable(tmp_path / folder, " Do this")
    assert files.writable(tmp_path / "new" / "inner") == tmp_path / "new" / "inner"
    assert list((tmp_path / "new" / "inner").iterdir()) == []


@pytest.mark.parametrize("folder", ["file", "/proc/cache"])
def test_cache_that_can_not_be_written_to_is_named(target, monkeypatch, folder):
    folder = target.parent / folder
    monkeypatch.setenv("SFC_DATA_DIR", str(folder))
    with pytest.raises(UserError, match=f"^{folder}/own: expected a folder that can be written to"):
        files.cache_folder("own")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_content_is_on_disk_before_it_gets_its_name(target, monkeypatch):
    """Else a power cut after the rename may leave an empty file under the final name."""
    events = []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(handle):
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        events.append("folder" if path == target.parent else ("file", path.stat().st_size))
        fsync(handle)

    def logged_replace(source, destination):
        events.append("replace")
        replace(source, destination)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", logged_replace)
    with files.atomic_write(target) as file:
        file.write(b"content")
    assert events == [("file", len(b"content")), "replace", "folder"]


def test_atomic_write_keeps_the_old_content_if_the_process_is_killed(target):
    script = (
        "import os, pathlib, signal, sys\n"
        "from sfc_lib.files import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half')\n"
        "    file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)])
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"


def test_write_json_is_sorted_and_ends_with_a_newline(target):
    files.write_json(target, {"b": [1.5, None], "a": "é"})
    assert json.loads(target.read_text()) == {"a": "é", "b": [1.5, None]}
    assert target.read_text().index('"a"') < target.read_text().index('"b"')
    assert target.read_text().endswith("}\n")


@pytest.mark.parametrize("variable", FOLDERS)
def test_folder_is_where_its_variable_says(variable, monkeypatch, tmp_path):
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert FOLDERS[variable]() == tmp_path / "elsewhere"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "~/mine")
    assert FOLDERS[variable]() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "here")
    assert FOLDERS[variable]() == tmp_path / "here"


def test_folders_of_a_checkout_are_inside_it(monkeypatch):
    for variable in FOLDERS:
        monkeypatch.setenv(variable, "")
    root = Path(files.__file__).parents[1]
    assert files.checkout() == root
    assert files.data_dir() == root / "data" / "cache"
    assert files.runs_dir() == root / "runs"
    assert files.published_dir() == root / "data" / "runs"


def test_installed_library_uses_working_folder_and_has_no_published_store(monkeypatch, tmp_path):
    for variable in FOLDERS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(files, "checkout", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert files.data_dir().name == "sfc_lib"
    assert files.runs_dir() == tmp_path / "runs"
    assert files.published_dir() is None
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path / "published"))
    assert files.published_dir() == tmp_path / "published"


def test_sha256_of_known_content(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_file(tmp_path / "abc") == digest
    # printf '{"a":[1,2.5,null],"b":"x"}' | sha256sum
    digest = "6739d783db2ab3fd0e308ed566ca042752f3cab5f9516e0e6d9e411041c24c13"
    assert files.sha256_json({"b": "x", "a": (1, 2.5, None)}) == digest


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were hashed; nothing is too young to be remembered."""
    read, sha256_file = [], files.sha256_file
    monkeypatch.setattr(files, "SETTLED", -(10**12))
    monkeypatch.setattr(files, "sha256_file", lambda path: read.append(path) or sha256_file(path))
    return read


@pytest.mark.parametrize("kept", [False, True])
def test_hash_is_remembered_until_the_file_is_touched(target, reads, kept):
    old = files.known_sha256(target, kept=kept)
    assert files.known_sha256(target, kept=kept) == old == hashlib.sha256(b"old").hexdigest()
    assert len(reads) == 1
    before = target.stat()
    target.write_bytes(b"new")  # as long, and under the same time
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert files.known_sha256(target, kept=kept) == hashlib.sha256(b"new").hexdigest()
    assert len(reads) == 2
    assert [path.name for path in target.parent.iterdir()] == ["file"] + [".file.noted"] * kept


def test_hash_that_is_kept_is_known_to_other_processes(target, reads):
    files.known_sha256(target, kept=True)
    files._known.clear()
    assert files.known_sha256(target, kept=True) == hashlib.sha256(b"old").hexdigest()
    assert len(reads) == 1
    files.forget(target)
    files.known_sha256(target, kept=True)
    assert len(reads) == 2


@pytest.mark.parametrize("content", [b"", b"null", b"{", b"[1, 2]", b'["x"]', b"\xff", b"{}"])
def test_a_damaged_note_is_not_believed(target, reads, content):
    files.known_sha256(target, kept=True)
    files._known.clear()
    (target.parent / ".file.noted").write_bytes(content)
    assert files.known_sha256(target, kept=True) == hashlib.sha256(b"old").hexdigest()
    assert len(reads) == 2


def test_hash_of_a_file_just_written_is_not_remembered(target):
    """Another write within the clock's step might not show in its stamp."""
    files.known_sha256(target, kept=True)
    assert files.noted(target) is None


@given(st.dictionaries(st.text(), plain, max_size=4))
def test_sha256_json_depends_on_content_only(value):
    shuffled = dict(reversed(value.items()))
    assert files.sha256_json(shuffled) == files.sha256_json(value)
    assert files.sha256_json(json.loads(json.dumps(value))) == files.sha256_json(value)
    assert files.sha256_json({**value, "more": 1, "than": 2}) != files.sha256_json(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_sha256_json_refuses_what_json_cannot_hold(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.sha256_json({"x": number})
