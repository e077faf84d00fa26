"""How far a reader has to follow an event and an instance: bounds that a change may lower.

They rise only with what a path must do more: who may deliver for a vault, guards of references, open parts, what the
index and the counts have to follow, one place that reads dates, what the vault
lists before what events say, and how a part was read last, which is read with it.
"""

import pytest

from bench.paths import PATHS, settings_document, trace

MOST: dict[str, tuple[int, int]] = {
    "one new event": (18, 45),
    "a part with one unchanged instance": (19, 85),
    "a part with one changed instance": (22, 105),
    "one settings document": (17, 107),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_through_the_product_gets_no_longer(name: str) -> None:
    path = PATHS[name]()
    most_files, most_moves = MOST[name]
    assert path.files <= most_files, path
    assert path.moves <= most_moves, path


def test_what_is_counted_is_the_product_alone() -> None:
    assert trace(lambda: sorted([3, 1, 2], key=str)).files == 0
    path = settings_document()
    assert path.order[0] == "settings/store.py"
    assert path.files == len(path.order) <= path.moves + 1 <= path.steps
