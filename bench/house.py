"""The shape of the source tree, measured from the tree: `./dev bench house` prints each figure beside its goal."""

from __future__ import annotations

import argparse
import ast
import json
import resource
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src"
PACKAGE = "tieline"
FILES, FUNCTION, COMMANDS = 15, 50, 5  # files of a folder, lines of a function, runs of the command
GOALS: Mapping[str, float] = {
    "two-way pairs of folders": 0,
    "longest import chain": 16,
    "files": 300,
    "folders over 15 files": 0,
    "functions over 50 lines": 0,
    "class names in more than one module": 20,
    "lines": 47_500,
    "`tieline --help`, CPU seconds": 0.15,
}


class Tree:
    """The modules of a package with their imports."""

    def __init__(self, source: Path = SRC) -> None:
        self.paths = {_module(path, source): path for path in sorted((source / PACKAGE).rglob("*.py"))}
        self.trees = {name: ast.parse(path.read_text()) for name, path in self.paths.items()}
        self.imports = {name: set(self._imported(tree)) - {name} for name, tree in self.trees.items()}

    def _imported(self, tree: ast.Module) -> Iterable[str]:
        """The modules of ours that a module imports, wherever it does."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.paths)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    found = inner if inner in self.paths else node.module
                    if found in self.paths:
                        yield found

    def folder(self, module: str) -> str:
        """The folder that a module's file lies in."""
        return module if self.paths[module].name == "__init__.py" else module.rpartition(".")[0]

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of folders, at any depth, of which each imports from the other."""
        known: dict[str, set[str]] = defaultdict(set)
        for module, imported in self.imports.items():
            known[self.folder(module)] |= {self.folder(each) for each in imported}
        return sorted((a, b) for a in known for b in known[a] if a < b and a in known.get(b, ()))

    def longest_chain(self) -> int:
        """How many modules stand on each other at the most. Raises ValueError where they go in a circle."""
        open_, imports = set[str](), self.imports

        @cache
        def height(module: str) -> int:
            if module in open_:
                raise ValueError(f"{module} imports itself, by a circle")
            open_.add(module)
            found = 1 + max((height(each) for each in imports[module]), default=0)
            open_.discard(module)
            return found

        return max(map(height, imports))

    def crowded(self) -> dict[str, int]:
        """The folders with too many files, `__init__` left out."""
        files = Counter(self.folder(name) for name, path in self.paths.items() if path.name != "__init__.py")
        return {name: count for name, count in files.items() if count > FILES}

    def long_functions(self) -> dict[str, int]:
        """The functions with too many lines."""
        return {
            f"{module}.{node.name}": lines
            for module, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION
        }

    def shared_classes(self) -> dict[str, int]:
        """The public names that classes of several modules have."""
        names = Counter(
            node.name
            for tree in self.trees.values()
            for node in tree.body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        )
        return {name: count for name, count in names.items() if count > 1}

    def lines(self) -> int:
        """The lines of all files."""
        return sum(path.read_text().count("\n") for path in self.paths.values())


def _module(path: Path, source: Path) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def command_seconds(runs: int = COMMANDS) -> float:
    """Processor seconds of `tieline --help`, the least of several runs."""
    return min(_seconds() for _ in range(runs))


def _seconds() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", PACKAGE, "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def figures(tree: Tree) -> dict[str, float]:
    """Every figure that has a goal."""
    return {
        "two-way pairs of folders": len(tree.pairs()),
        "longest import chain": tree.longest_chain(),
        "files": len(tree.paths),
        "folders over 15 files": len(tree.crowded()),
        "functions over 50 lines": len(tree.long_functions()),
        "class names in more than one module": len(tree.shared_classes()),
        "lines": tree.lines(),
        "`tieline --help`, CPU seconds": round(command_seconds(), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = figures(Tree())
    print("| | measured | goal |\n|---|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:,} | ≤ {GOALS[name]:,}{'' if value <= GOALS[name] else ', missed'} |")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
