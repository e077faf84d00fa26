"""What a reader may expect of every file: its size, the length of its functions, and names that mean one thing."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("shared", "functions", "lab", "bench", "infra")
MOST_LINES_OF_A_FILE = 350
MOST_LINES_OF_A_FUNCTION = 50
# The checker of the infrastructure goes: Microsoft's own compiler takes its place.
GOING = "infra/check/"
# Nouns of the field that end like a gerund.
NOUNS = frozenset({"housekeeping", "mapping"})


def _files(*rooms: str) -> Iterator[tuple[str, str]]:
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(GOING):
                yield name, path.read_text("utf-8")


def test_no_file_is_longer_than_one_reads_in_one_go() -> None:
    long = {name for name, text in _files(*ROOMS) if len(text.splitlines()) > MOST_LINES_OF_A_FILE}
    assert not long


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{name} {node.name}"
        for name, text in _files(*ROOMS)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    }
    assert not long


def test_no_public_class_of_the_product_has_its_name_twice() -> None:
    """One word, one meaning: whoever searches a name finds one thing."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, text in _files("shared"):
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(name)
    assert not {name: sorted(files) for name, files in found.items() if len(files) > 1}


def test_no_file_of_the_product_is_named_by_a_gerund_alone() -> None:
    """A file is named after what it holds."""
    stems = {name: Path(name).stem for name, _ in _files("shared", "functions")}
    assert not [name for name, stem in stems.items() if stem.endswith("ing") and "_" not in stem and stem not in NOUNS]


def test_no_pattern_ends_with_a_dollar() -> None:
    """Python's `$` also matches before a line break at the end: write `fullmatch` and leave both anchors out."""
    anchored = {
        f"{name}:{node.lineno}"
        for name, text in _files("shared", "functions")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
        and node.args[0].value.endswith("$")
    }
    assert not anchored
