"""The book imports from the root and from folders, so that modules may move without touching a chapter."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from tests.book.test_notebooks import CHAPTERS, code, python

PACKAGE = Path(__file__).resolve().parents[2]


def imports(chapter: Path) -> list[ast.Import | ast.ImportFrom]:
    nodes = [node for cell in code(chapter) for node in ast.walk(python(cell))]
    return [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]


def is_folder(name: str) -> bool:
    return PACKAGE.joinpath(*name.split("."), "__init__.py").is_file()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_imports_the_root_or_what_a_folder_offers(chapter: Path) -> None:
    for node in imports(chapter):
        if isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.startswith("ivtutorial.")], ast.unparse(node)
        elif node.module and node.module.partition(".")[0] == "ivtutorial":
            assert is_folder(node.module), ast.unparse(node)
            offered = getattr(import_module(node.module), "__all__", ())
            for alias in node.names:
                assert alias.name in offered or is_folder(f"{node.module}.{alias.name}"), ast.unparse(node)


def test_the_book_knows_few_paths() -> None:
    paths = {
        str(node.module)
        for chapter in CHAPTERS
        for node in imports(chapter)
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "ivtutorial"
    }
    assert len(paths) <= 12, sorted(paths)
