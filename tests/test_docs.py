"""The documents name only what exists, and every file keeps the rules of the house."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tieline.cli import main

ROOT = Path(__file__).resolve().parents[1]
CEILING = 500  # lines of a source file

LINK = re.compile(r"\]\(\s*([^)\s]+)\s*\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
DEV = re.compile(r"\./dev ([a-z][a-z-]*)")
TIELINE = re.compile(r"(?:^|[\s/`])tieline ([a-z][a-z-]*)([^\n`#]*)")
OPTION = re.compile(r"--[a-z][a-z-]*")
BRANCH = re.compile(r"^(\s*)([\w/]+/)(?:\s|$)", re.MULTILINE)  # one line of the drawn tree: depth and directory

# Written in pieces, because this file is searched as well.
MACHINE_PATH = re.compile("|".join(["(?<![\\w.$}])/" + part for part in ("root/", "work/", "home/\\w", "Users/\\w")]))
REGISTRY = re.compile("|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.(?:org|com)"]))
DISTRIBUTION = re.compile("|".join(["deb" + r"\.debian\.org", "archive" + r"\.ubuntu\.com"]))


@cache
def tracked(*patterns: str) -> tuple[Path, ...]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return tuple(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


def documents() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in tracked("*.md")}


def sources() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in tracked("*.py")}


def in_code() -> list[str]:
    return [code for text in documents().values() for code in CODE.findall(text)]


@cache
def whole_command() -> typer.Typer:
    for name in main.NOUNS | main.VERBS:
        main.assemble(name)
    return main.app


@cache
def help_of(*command: str) -> str:
    """What `tieline` says of a command: in this process, as it would otherwise be started a hundred times."""
    asked = CliRunner().invoke(whole_command(), [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert asked.exit_code == 0, (command, asked.output)
    return asked.output


def test_there_is_something_to_check() -> None:
    assert {"README.md", "docs/architecture.md", "docs/words.md"} <= set(documents())
    assert "src/tieline/__init__.py" in sources()


def test_every_relative_link_leads_somewhere() -> None:
    broken = [
        f"{name}: {target}"
        for name, text in documents().items()
        for target in LINK.findall(text)
        if not re.match(r"[a-z]+:|#", target) and not (ROOT / name).parent.joinpath(target.split("#")[0]).exists()
    ]
    assert broken == []


def test_every_dev_command_that_is_named_exists() -> None:
    shown = subprocess.run(["./dev", "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^  ([a-z]+)", shown, re.MULTILINE))
    named = {command for code in in_code() for command in DEV.findall(code)}
    assert {"demo", "test"} <= named
    assert named - known == set()


def test_every_tieline_command_and_option_that_is_named_exists() -> None:
    named = {found for code in in_code() for found in TIELINE.findall(code)}
    assert named
    unknown = [verb for verb, _ in named if not re.search(rf"^\W*{verb}\s", help_of(), re.MULTILINE)]
    assert unknown == []
    missing = [
        f"{verb} {option}"
        for verb, rest in named
        for option in OPTION.findall(rest)
        if option not in help_of(*command(verb, rest))
    ]
    assert missing == []


def command(verb: str, rest: str) -> list[str]:
    """A verb such as `up`, or a noun with its verb, such as `link create`."""
    second = re.match(r" ([a-z][a-z-]*)", rest)
    return [verb, second[1]] if second and "COMMAND [ARGS]" in help_of(verb) else [verb]


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = (ROOT / "docs/architecture.md").read_text().split("## The house")[1].split("```")[1].partition("\n")[2]
    parents: dict[int, Path] = {}
    for margin, name in BRANCH.findall(drawn):
        depth = len(margin)
        above = [parents[d] for d in parents if d < depth]
        parents = {d: p for d, p in parents.items() if d < depth} | {depth: (above[-1] if above else ROOT) / name}
        assert parents[depth].is_dir(), f"docs/architecture.md draws {parents[depth].relative_to(ROOT)}"
    assert (ROOT / "src/tieline/store") in {ROOT / "src/tieline" / m[1].rstrip("/") for m in BRANCH.findall(drawn)}


@pytest.mark.parametrize("kind", [MACHINE_PATH, REGISTRY, DISTRIBUTION], ids=["machine path", "registry", "mirror"])
def test_nothing_names_the_place_where_it_was_written(kind: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if kind.search(line)
    ]
    assert found == []


def test_every_source_file_opens_with_one_sentence() -> None:
    assert [name for name, text in sources().items() if not opens_with_one_sentence(text)] == []


def opens_with_one_sentence(text: str) -> bool:
    """Whether the docstring's first line is a sentence that ends there; paragraphs may follow."""
    first, *rest = (ast.get_docstring(ast.parse(text)) or "").splitlines() or [""]
    return first.endswith(".") and ". " not in first.replace("e.g. ", "") and (not rest or rest[0] == "")


def test_no_source_file_is_longer_than_it_can_be_read() -> None:
    lengths = {name: text.count("\n") for name, text in sources().items()}
    assert {name: length for name, length in lengths.items() if length > CEILING} == {}
