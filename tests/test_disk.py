"""Files of every kind and every name: what is read, what is refused with a word, what is kept, and what is left behind."""

from __future__ import annotations

import os
import random
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.image_store import Images
from tests.running import environment, run
from tests.test_files import CONFIG, DONE, MARKED
from tests.test_layout import write
from tests.waiting import pause, wait_until

KRMFN = (sys.executable, "-I", "-m", "krmfn")


def update(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return run([*KRMFN, "update", *arguments], env=environment(**variables), timeout=30)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "krmfn.yaml").write_text(CONFIG % "")
    return tmp_path


def listen(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


def folder(path: Path) -> None:
    path.mkdir()
    (path / "inner.yaml").write_text(MARKED)


LONG = b'a: b # {"$imagepolicy": "apps:web"}\nimage: [' + b"[]," * 2_600_000 + b"]\n"
"""7.8 MB, which took 932 MB of memory."""
KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "a character device"),
    "a link to stdin": (lambda path: path.symlink_to("/dev/stdin"), ""),
    "a link to itself": (lambda path: path.symlink_to(path.name), ""),
    "a link that leads nowhere": (lambda path: path.symlink_to("nowhere"), ""),
    "a FIFO": (os.mkfifo, "a FIFO"),
    "a socket": (listen, "a socket"),
    "3 GiB": (sparse, "expected at most 268435456 bytes, found 3221225472 bytes"),
    "a directory": (folder, ""),
    "a long text": (lambda path: path.write_bytes(LONG), "more than 1000000 nodes"),
}  # fmt: skip


def loop(tree: Path) -> None:
    (tree / "a.yaml").symlink_to("b.yaml")
    (tree / "b.yaml").symlink_to("a.yaml")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind_is_left_and_the_others_are_written(kind: str, tree: Path):
    make, why = KINDS[kind]
    make(tree / "odd.yaml")
    loop(tree)
    (tree / "good.yaml").write_text(MARKED)
    done = update(tree)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert (tree / "good.yaml").read_text() == DONE
    if kind == "3 GiB":
        assert why in done.stderr
    if kind == "a directory":
        assert (tree / "odd.yaml/inner.yaml").read_text() == DONE


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("a directory", "a link to stdin")])
def test_a_file_of_another_kind_that_is_named_is_refused_with_a_word(kind: str, tree: Path):
    make, why = KINDS[kind]
    make(tree / "odd.yaml")
    done = update(tree / "krmfn.yaml", tree / "odd.yaml", "--strict")
    assert "Traceback" not in done.stderr
    assert "odd.yaml" in done.stderr
    assert why in done.stderr


def test_memory_stays_bounded_whatever_is_in_a_file(tree: Path):
    (tree / "odd.yaml").write_bytes(LONG)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (900 << 20,) * 2); sys.argv = ['krmfn', 'update', sys.argv[1]];"
        "from krmfn.__main__ import main; sys.exit(main())"
    )
    done = run([sys.executable, "-c", code, tree], timeout=60)
    assert "MemoryError" not in done.stderr
    assert "not enough memory" not in done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("how", ["a file", "a pipe"])
def test_stdin_is_refused_by_its_size(how: str, tmp_path: Path):
    (tmp_path / "list.yaml").write_bytes(b"# " + b"x" * (2 << 20))
    with (tmp_path / "list.yaml").open("rb") as file:
        given = {"stdin": file} if how == "a file" else {"input": (tmp_path / "list.yaml").read_bytes()}
        done: subprocess.CompletedProcess[Any] = subprocess.run(
            KRMFN, capture_output=True, env=environment(KRMFN_MAX_INPUT_MIB="1"), check=False, timeout=30, **given
        )
    assert done.returncode == 1
    assert b"kind: ResourceList" in done.stdout
    assert b"expected at most 1048576 bytes" in done.stderr


@pytest.mark.parametrize("value", ["0", "x", "-1", "1e3", "9999999", "\u0661"])
def test_a_limit_that_is_no_number_is_refused(value: str, tree: Path):
    done = update(tree, KRMFN_MAX_INPUT_MIB=value)
    assert done.returncode == 1
    assert "KRMFN_MAX_INPUT_MIB: expected a number of MiB" in done.stderr


def test_a_hard_link_is_refused_before_anything_is_written(tree: Path):
    (tree / "a.yaml").write_text(MARKED)
    (tree / "b.yaml").write_text(MARKED)
    (tree / "other").mkdir()
    os.link(tree / "b.yaml", tree / "other/kept")
    done = update(tree)
    assert done.returncode == 1
    assert "b.yaml: has 2 hard links" in done.stderr
    assert {path.read_text() for path in (tree / "a.yaml", tree / "b.yaml", tree / "other/kept")} == {MARKED}


def test_a_read_only_file_is_refused_before_anything_is_written(tree: Path):
    (tree / "a.yaml").write_text(MARKED)
    (tree / "b.yaml").write_text(MARKED)
    (tree / "b.yaml").chmod(0o444)
    done = update(tree)
    assert done.returncode == 1
    assert "b.yaml: is read-only" in done.stderr
    assert (tree / "a.yaml").read_text() == MARKED


def test_extended_attributes_stay(tree: Path):
    (tree / "a.yaml").write_text(MARKED)
    os.setxattr(tree / "a.yaml", "user.owner", b"team a\0\xff")
    assert update(tree).returncode == 0
    assert (tree / "a.yaml").read_text() == DONE
    assert os.getxattr(tree / "a.yaml", "user.owner") == b"team a\0\xff"


def names(seed: int, count: int) -> list[bytes]:
    """Return file names as hostile as a file system allows, up to its 255 bytes."""
    chance = random.Random(seed)
    parts = [b"::error::x", b"\n", b"\r", b"\t", b"\x1b[31m", b"\xff", "\u202e".encode(), "\u200b".encode(), "\u2028".encode(), b"\x85", b"'", b'"', b"$(x)", b"--diff", b" ", "é".encode(), b"##[error]", b"%s", b"a"]  # fmt: skip
    made = [b"a" * 250 + b".yaml", "é".encode() * 125 + b".yaml", b"-.yaml", b"\n::error::x.yaml", b"\xff\xfe.yaml"]
    made += [b"".join(chance.choices(parts, k=chance.randint(1, 8)))[:250] + b".yaml" for _ in range(count)]
    return made


def check_names(folder: Path, seed: int, count: int) -> None:
    made = list(dict.fromkeys(names(seed, count)))
    for name in made:
        (folder / os.fsdecode(name)).write_text(MARKED)
    done = subprocess.run(
        [*KRMFN, "update", ".", "--diff"], cwd=folder, capture_output=True, env=environment(), check=False, timeout=60
    )
    assert done.returncode == 0, (seed, done.stderr)
    for text in (done.stdout, done.stderr):
        check_output(text)
    assert {(folder / os.fsdecode(name)).read_text() for name in made} == {DONE}, seed
    assert len(list(folder.iterdir())) == len(made) + 1, seed


def check_output(text: bytes) -> None:
    """Nothing in the output acts upon a terminal or a CI system."""
    for line in text.decode().split("\n"):
        assert all(char.isprintable() or char == "\t" for char in line), line
        assert not line.lstrip().startswith("::"), line
        assert "##[" not in line, line


def test_files_of_every_name_are_written_and_told_safely(tree: Path):
    check_names(tree, 13, 60)


@pytest.mark.soak
def test_files_of_fresh_names_are_written_and_told_safely(tree: Path):
    check_names(tree, random.SystemRandom().getrandbits(32), 4000)


def many(tree: Path, count: int) -> list[Path]:
    paths = [tree / f"f{index // 10}" / f"{index}.yaml" for index in range(count)]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(MARKED)
    return paths


def stop(tree: Path, number: signal.Signals, seconds: float) -> int:
    """Start an update, and send it a signal once its first new file is there, or after some seconds."""
    process = subprocess.Popen([*KRMFN, "update", tree], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: process.poll() is not None or list(tree.rglob(".krmfn.*")), every=0.002)
    pause(seconds)
    process.send_signal(number)
    return process.wait(20)


def check_stopped(tree: Path, number: signal.Signals, times: int, chance: random.Random) -> None:
    paths, ended = many(tree, 40), 0
    for _ in range(times):
        for path in paths:
            path.write_text(MARKED)
        code = stop(tree, number, chance.random() * 0.03)
        ended += code != 0
        assert {path.read_text() for path in paths} <= {MARKED, DONE}, "torn"
        left = list(tree.rglob(".krmfn.*"))
        if number == signal.SIGTERM:
            assert not left
            assert code in (-signal.SIGTERM, 0)
        assert update(tree).returncode == 0
        assert {path.read_text() for path in paths} == {DONE}
        assert not list(tree.rglob(".krmfn.*"))
    assert times < 10 or ended > times * 3 / 4, f"{ended} of {times} runs were ended by {number.name}, too few to say much"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_tears_nothing_and_leaves_nothing(number: signal.Signals, tree: Path):
    check_stopped(tree, number, 4, random.Random(13))


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_two_hundred_stopped_runs_tear_nothing_and_leave_nothing(number: signal.Signals, tree: Path):
    check_stopped(tree, number, 200, random.Random())


def test_a_run_removes_what_a_killed_one_left_and_nothing_else(tree: Path):
    import fcntl

    (tree / "sub").mkdir()
    left, used = tree / "sub/.krmfn.abc.tmp", tree / "sub/.krmfn.def.tmp"
    foreign = tree / "sub/.other.tmp"
    for path in (left, used, foreign):
        path.write_text("x")
    with used.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert update(tree, "--check").returncode == 0
        assert left.exists(), "a check removes nothing"
        assert update(tree).returncode == 0
    assert not left.exists()
    assert used.exists(), "it belongs to a run that goes on"
    assert foreign.exists()


def test_a_full_disk_leaves_every_file_as_it_was(tree: Path):
    (tree / "a.yaml").write_text(MARKED)
    (tree / "b.yaml").write_text(MARKED + "# " + "x" * 200_000 + "\n")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2); sys.argv = ['krmfn', 'update', sys.argv[1]];"
        "from krmfn.__main__ import main; sys.exit(main())"
    )
    done = run([sys.executable, "-c", code, tree], timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "b.yaml: cannot be written: File too large" in done.stderr
    assert (tree / "a.yaml").read_text() == MARKED
    assert sorted(path.name for path in tree.iterdir()) == ["a.yaml", "b.yaml", "krmfn.yaml"]


def test_modes_are_those_of_the_old_file_and_of_a_new_one(tree: Path, tmp_path_factory: pytest.TempPathFactory):
    (tree / "a.yaml").write_text(MARKED)
    (tree / "a.yaml").chmod(0o640)
    stored, layouts = Images(), tmp_path_factory.mktemp("layouts")
    stored.add("acme/web", ["1.2.3"])
    write(layouts / "ghcr.io/acme/web", stored, "acme/web")
    assert run([*KRMFN, "fetch", tree, "--lock", "--source", f"layout:{layouts}"], timeout=30).returncode == 0
    assert update(tree).returncode == 0
    assert stat.S_IMODE((tree / "a.yaml").stat().st_mode) == 0o640
    assert stat.S_IMODE((tree / "krmfn-lock.yaml").stat().st_mode) == 0o644


@pytest.mark.parametrize("arguments", ["check .", "update a.yaml", "lint .", "backtest ."])
def test_a_working_directory_that_is_gone_is_told(arguments: str, tmp_path: Path):
    (tmp_path / "gone").mkdir()
    done = run(["sh", "-c", 'cd gone && rmdir ../gone && exec "$@"', "sh", *KRMFN, *arguments.split()], cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "gone" in done.stderr or "no such file" in done.stderr
