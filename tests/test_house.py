"""The tree shows the architecture: no two folders import each other, and every package says what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from bench.house import Tree


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree()


def test_no_two_folders_import_each_other(tree: Tree) -> None:
    assert tree.pairs() == []


def test_imports_go_in_no_circle(tree: Tree) -> None:
    assert tree.longest_chain() > 1


def test_no_folder_is_crowded(tree: Tree) -> None:
    assert tree.crowded() == {}


def test_no_function_is_longer_than_a_screen(tree: Tree) -> None:
    assert tree.long_functions() == {}


def test_every_package_says_what_belongs_there(tree: Tree) -> None:
    packages = [name for name, path in tree.paths.items() if path.name == "__init__.py"]
    assert [name for name in packages if not ast.get_docstring(tree.trees[name])] == []


def test_a_pair_is_found(tmp_path: Path) -> None:
    texts = {"a/one": "from tieline.b.two import x", "b/two": "import tieline.a.one", "b/__init__": ""}
    for name, text in texts.items():
        file = tmp_path / "tieline" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert Tree(tmp_path).pairs() == [("tieline.a", "tieline.b")]
