"""Break krmfn in small ways, one at a time, and see whether its tests notice.

    python -m benchmarks.mutants map [--map FILE] [--programs] [--sample N] [PYTEST ARGUMENT...]
    python -m benchmarks.mutants run [--map FILE] [--seed S] [--count N] [--seconds T] [--room ROOM,...] [--listed FILE] [--part K/N]

`map` runs tests once under coverage and notes in FILE (build/mutants.json) which of them execute which line, with --programs in
programs that they start, too, and how long each takes; later calls add to it. With --sample only some cases of a test are run then. `run` draws N mutations by the seed, from each room
of krmfn in proportion to its size and two at least, or takes those of a list (path, old text, new text, by tabs), and runs for each
the tests that execute the changed line, the quickest first, until one fails or they would take longer than T seconds. Where the map
knows none, the files of the room are run (TESTS), those that name most of the module first, for as long.

All of it happens in a copy of the tree with an environment of its own, so the tree may be worked in meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from coverage import CoverageData

from benchmarks.mutations import Mutation, Source, Where, is_python, room

ROOT = Path(__file__).resolve().parent.parent
PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "benchmarks.covering", "--tb=line", "--timeout=120")
SETTINGS = "[run]\nsource = {root}/krmfn\ndata_file = {data}\nparallel = true\n"

TESTS = {
    "adopt": "adopt",
    "commands": "exits settings cli check within update get lint explain fetch create init locks agreement verbs_on_disk verify fleet_plan backtest",
    "config": "config schema flux lock windows floor promotion requirements groups sources metadata create verify automation key_files",
    "disk": "disk verbs_on_disk",
    "fleet": "fleet_plan fleet_report fleet_publish fleet_run fleet_scan",
    "git": "git automation template proposals git_hostile",
    "gotemplate": "template",
    "inventory": "files annotate lint get doctor policytest advice check within update",
    "kubernetes": "resource forms overlays jsonpath bind check corpus neighbours",
    "plan": "decision rewrite guard lock pins groups promotion windows requirements first_seen taken_back record platforms bind verify golden backtest",
    "policies": "policy version version_policy constraint pattern selection release newer number explain",
    "signatures": "signatures keyless_rules cosign keyless verify",
    "sources": "keychain registry_pages registry_auth registry_limits registry_client registry_bounds layout layout_bounds manifest platforms "
    "registry_tls registry_proxies registry_surroundings registry_faults fleet_publish registry_logins",
    "values": "api function diagnostics version_part globs exits golden sources record registry_limits cli",
    "yamledit": "yamltext scalars comments markers insertion resourcelist screen proof record bind yaml_traps golden automation",
}
"""The files of tests of each room."""


class Covering(NamedTuple):
    """Which tests execute each line of a file, by their names, and the seconds of those that pass."""

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    @classmethod
    def read(cls, path: Path) -> Covering:
        kept = json.loads(path.read_text(encoding="utf-8"))
        names = list(kept["seconds"])
        lines = {
            file: {int(line): [names[number] for number in tests] for line, tests in lines.items()}
            for file, lines in kept["lines"].items()
        }
        return cls(lines, kept["seconds"])

    def write(self, path: Path) -> None:
        number = {name: number for number, name in enumerate(self.seconds)}
        lines = {
            file: {line: sorted({number[test] for test in tests if test in number}) for line, tests in lines.items()}
            for file, lines in self.lines.items()
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"seconds": self.seconds, "lines": lines}), encoding="utf-8")

    def tests(self, path: str, where: Where, sources: dict[str, bytes]) -> list[str]:
        """Return the tests that execute one of the lines, or one that has the name, or else one of the file or its room."""
        of_line = self._quickest(test for line in where.lines for test in self.lines.get(path, {}).get(line, ()))
        if of_line:
            return of_line
        word = re.compile(rb"\b" + where.name.encode() + rb"\b")
        naming = (
            test
            for file, source in sources.items()
            if where.name and word.search(source)
            for number, line in enumerate(source.splitlines(), 1)
            if word.search(line)
            for test in self.lines.get(file, {}).get(number, ())
        )
        of_file = (test for tests in self.lines.get(path, {}).values() for test in tests)
        of_room = (t for file, lines in self.lines.items() if room(file) == room(path) for tests in lines.values() for t in tests)
        return self._quickest(naming) or self._quickest(of_file) or self._quickest(of_room)

    def _quickest(self, tests: Iterator[str]) -> list[str]:
        return sorted({test for test in tests if test in self.seconds}, key=lambda test: (self.seconds[test], test))


@contextmanager
def scratch() -> Iterator[Path]:
    """Copy what git knows of the tree into a folder with an environment of its own, in which programs run the copy."""
    with tempfile.TemporaryDirectory(prefix="mutants.") as name:
        copy = Path(name).resolve() / "krmfn"
        listed = subprocess.run(["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
        for file in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / file).is_file() or (ROOT / file).is_symlink():
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, copy / file, follow_symlinks=False)
        if (ROOT / ".cache").exists():
            (copy / ".cache").symlink_to((ROOT / ".cache").resolve())
        for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=m", "-c", "user.email=m@example.org", "commit", "-q", "-m", "."]):
            subprocess.run(["git", *command], cwd=copy, check=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", copy / ".venv"], check=True)
        packages = next((copy / ".venv").glob("lib/python*/site-packages"))
        own = next(Path(sys.prefix).glob("lib/python*/site-packages"))
        (packages / "copy.pth").write_text(f"{copy}\nimport site; site.addsitedir({str(own)!r})\n")
        for script in (Path(sys.prefix) / "bin").iterdir():
            first, _, rest = script.read_bytes().partition(b"\n")
            if script.is_file() and first.startswith(b"#!") and first.endswith(b"/python3") | first.endswith(b"/python"):
                there = copy / ".venv" / "bin" / script.name
                there.write_bytes(f"#!{copy}/.venv/bin/python\n".encode() + rest)
                there.chmod(0o755)
        yield copy


def modules(root: Path) -> dict[str, bytes]:
    """Return the modules of the package in a tree by their paths."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted((root / "krmfn").rglob("*.py"))}


def environment(copy: Path, **more: str) -> dict[str, str]:
    binaries = f"{copy / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": binaries, "VIRTUAL_ENV": str(copy / ".venv"), **more}


def collect(path: Path, arguments: Sequence[str], *, programs: bool, sample: int) -> int:
    """Run tests under coverage and add what they execute to the map."""
    with scratch() as copy:
        outside = copy.parent
        rc, data, times = outside / "coveragerc", outside / "data" / "coverage", outside / "times"
        data.parent.mkdir()
        rc.write_text(SETTINGS.format(root=copy, data=data) + "patch = subprocess\n" * programs)
        python = copy / ".venv" / "bin" / "python"
        pytest = [word for word in PYTEST if word != "-x"]
        command = [python, "-m", "coverage", "run", f"--rcfile={rc}", *pytest, *arguments]
        code = subprocess.run(command, cwd=copy, env=environment(copy, COVERING_TIMES=str(times), COVERING_SAMPLE=str(sample)), check=False).returncode
        subprocess.run([python, "-m", "coverage", "combine", "-q", f"--rcfile={rc}"], cwd=copy, check=True)
        measured = CoverageData(str(data))
        measured.read()
        known = Covering.read(path) if path.exists() else Covering({}, {})
        seconds, failed = defaultdict[str, float](float, known.seconds), set()
        for test, took, outcome in map(json.loads, times.read_text(encoding="utf-8").splitlines()):
            seconds[test] += took
            failed |= {test} if outcome != "passed" else set()
        lines: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        for file in measured.measured_files():
            for line, contexts in measured.contexts_by_lineno(file).items():
                lines[Path(file).relative_to(copy).as_posix()][line] += contexts
        for file, known_lines in known.lines.items():
            for line, tests in known_lines.items():
                lines[file][line] += tests
        Covering(lines, {test: took for test, took in seconds.items() if test not in failed}).write(path)
        print(f"{path}: {len(seconds)} tests, {len(failed)} of them did not pass and are left out")
        return code


class Trial(NamedTuple):
    """A mutation, how it ended, and the test that noticed."""

    mutation: Mutation
    verdict: str
    by: str
    tests: int
    left_out: int


class Judge:
    """Applies mutations to a copy of the tree, one at a time."""

    def __init__(self, copy: Path, covering: Covering, seconds: float) -> None:
        self._copy, self._covering, self._seconds = copy, covering, seconds
        self._sources = modules(copy)
        self._modified = int(time.time()) - 10_000_000

    def judge(self, mutation: Mutation) -> Trial:
        """Apply a mutation, run the tests of its line, take it back."""
        tests = self._covering.tests(mutation.path, mutation.where, self._sources)
        chosen, total = [], 0.0
        for test in tests:
            total += self._covering.seconds[test] + 0.005
            if chosen and total > self._seconds:
                break
            chosen.append(test)
        chosen = chosen or self._files(mutation.path)
        original = self._sources[mutation.path]
        self._write(mutation.path, mutation.applied(original))
        try:
            verdict, by = self.run(chosen)
        finally:
            self._write(mutation.path, original)
        return Trial(mutation, verdict, by, len(chosen), len(tests) - len(chosen))

    def run(self, tests: Sequence[str]) -> tuple[str, str]:
        """Run tests in the copy until one fails; return how that ended, and which failed."""
        listed = self._copy.parent / "tests"
        listed.write_text("\n".join(tests), encoding="utf-8")
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        chosen = {"COVERING_TESTS": str(listed)} if "::" in tests[0] else {"COVERING_BRIEFLY": "1"}
        command = [self._copy / ".venv" / "bin" / "python", *PYTEST, "-m", "not slow and not soak", *files]
        with subprocess.Popen(
            command, cwd=self._copy, env=environment(self._copy, **chosen), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0,
        ) as child:  # fmt: skip
            try:
                shown, _ = child.communicate(timeout=60 + 3 * self._seconds if "COVERING_TESTS" in chosen else self._seconds)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, 9)
                return ("timeout", "") if "COVERING_TESTS" in chosen else ("unfinished", "")
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", shown, re.MULTILINE)
        verdict = {0: "survived", 5: "survived"}.get(child.returncode, "killed")
        return verdict, failed[0] if failed else "" if verdict == "survived" else shown.strip()[-200:]

    def _files(self, path: str) -> list[str]:
        """Return the files of tests of a room, those first that name most of what a module defines."""
        defined = re.findall(rb"^(?:def |class |)([A-Za-z][A-Za-z0-9_]{3,})(?=[(:]| =)", self._sources[path], re.MULTILINE)
        words = re.compile(rb"\b(?:" + b"|".join({*defined, Path(path).stem.encode()}) + rb")\b")
        files = [self._copy / "tests" / f"test_{name}.py" for name in TESTS[room(path)].split()]
        files.sort(key=lambda file: (file.stem != f"test_{Path(path).stem}", -len(set(words.findall(file.read_bytes())))))
        return [file.relative_to(self._copy).as_posix() for file in files]

    def _write(self, path: str, source: bytes) -> None:
        """Write a file with a time of its own, so that no compiled one is taken for it."""
        self._modified += 10
        (self._copy / path).write_bytes(source)
        os.utime(self._copy / path, (self._modified, self._modified))


def drawn(sources: dict[str, bytes], seed: int, count: int, only: str) -> list[Mutation]:
    """Draw mutations by a seed: from every room in proportion to its size, two at least; no two of one statement."""
    by_room: dict[str, list[Mutation]] = defaultdict(list)
    for path, source in sources.items():
        by_room[room(path)] += Source(path, source).mutations()
    total, draw = sum(map(len, by_room.values())), random.Random(seed)
    chosen = []
    for _, mutations in sorted(by_room.items()):
        wanted, statements = max(2, round(count * len(mutations) / total)), set()
        for mutation in draw.sample(mutations, len(mutations)):
            statement = (mutation.path, mutation.where)
            if len(statements) == wanted:
                break
            if statement not in statements and is_python(mutation.applied(sources[mutation.path])):
                statements.add(statement)
                chosen += [mutation] if not only or room(mutation.path) in only.split(",") else []
    return chosen


def listed(sources: dict[str, bytes], path: Path) -> Iterator[Mutation]:
    """Yield the mutations of a list whose old text stands once in its file."""
    for row in path.read_text(encoding="utf-8").splitlines():
        if row and not row.startswith("#"):
            file, old, new = row.split("\t")
            source = sources.get(file, b"")
            if source.count(old.encode()) != 1:
                print(f"not once in {file}: {old}")
                continue
            start = source.index(old.encode())
            line = source[:start].count(b"\n") + 1
            wheres = sorted({one.where for one in Source(file, source).mutations() if line in one.where.lines}, key=lambda one: len(one.lines))
            name = old.partition("=")[0].partition(":")[0].strip()
            yield Mutation(file, wheres[0] if wheres else Where(range(0), name), start, start + len(old.encode()), new, "listed")


def shown(trial: Trial, source: bytes) -> str:
    """Return a trial as text: how it ended, where, the line before and after."""
    mutation = trial.mutation
    begin = source.rfind(b"\n", 0, mutation.start) + 1
    number = source[: mutation.start].count(b"\n") + 1
    changed = mutation.applied(source)
    old, new = (text[begin:].split(b"\n", 1)[0].decode().strip() for text in (source, changed))
    more = f" ({trial.tests} tests, {trial.left_out} left out)" if trial.verdict == "survived" else f" by {trial.by}"
    return f"{trial.verdict}: {mutation.path}:{number}: {mutation.kind}{more}\n    - {old}\n    + {new}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("what", choices=("map", "run", "list"))
    parser.add_argument("--map", type=Path, default=ROOT / "build" / "mutants.json")
    parser.add_argument("--programs", action="store_true")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--room", default="")
    parser.add_argument("--listed", type=Path)
    parser.add_argument("--part", default="1/1", help="every N-th from the K-th on, for processes side by side")
    options, arguments = parser.parse_known_args()
    if options.what == "map":
        return collect(options.map, arguments, programs=options.programs, sample=options.sample)
    sources = modules(ROOT)
    mutations = list(listed(sources, options.listed)) if options.listed else drawn(sources, options.seed, options.count, options.room)
    part, parts = map(int, options.part.split("/"))
    mutations = mutations[part - 1 :: parts]
    if options.what == "list":
        for mutation in mutations:
            print(shown(Trial(mutation, "drawn", "seed", 0, 0), sources[mutation.path]))
        return 0
    trials = []
    with scratch() as copy:
        judge = Judge(copy, Covering.read(options.map) if options.map.exists() else Covering({}, {}), options.seconds)
        for mutation in mutations:
            trials.append(judge.judge(mutation))
            print(shown(trials[-1], sources[mutation.path]), flush=True)
        noticed = sorted({trial.by for trial in trials if trial.verdict == "killed" and "::" in trial.by})
        verdict, by = judge.run(noticed) if noticed else ("survived", "")
    print("\n| room | mutants | killed | timeouts | unfinished | survived |\n|---|---|---|---|---|---|")
    of_room = defaultdict[str, Counter[str]](Counter)
    for trial in trials:
        of_room[room(trial.mutation.path)][trial.verdict] += 1
        of_room["all"][trial.verdict] += 1
    for name, counts in sorted(of_room.items(), key=lambda item: (item[0] == "all", item[0])):
        print(f"| {name} | {counts.total()} | {counts['killed']} | {counts['timeout']} | {counts['unfinished']} | {counts['survived']} |")
    print("\nwithout a mutant the tests that noticed pass" if verdict == "survived" else f"\nfails without a mutant: {by}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
