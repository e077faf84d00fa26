"""Counts as values, and where they are copied to."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shared.counts.cells import Cell, Counts, from_json, summed, to_json, told_of_counts
from shared.counts.trees import DESK, SCOPE, SCOPES_SHOWN, SHARES, SITES_SHOWN, Node, shares_of, shown_in

NAMES = st.sampled_from(["", "london", "leeds", "ÿork: 2|3@", "server", "active"])
CELLS = st.one_of(
    st.tuples(st.just("record"), NAMES, NAMES, st.sampled_from(["active", "inactive"])),
    st.tuples(st.just("ticket"), NAMES, st.sampled_from(["high", "low"])),
    st.tuples(st.just("object"), NAMES, st.sampled_from(["", "2026-05-01", "2026-05-02"])),
)
COUNTS = st.dictionaries(CELLS, st.integers(-3, 9).filter(bool), max_size=8)


@given(COUNTS)
def test_counts_come_back_from_their_json(counts: dict[Cell, int]) -> None:
    assert from_json(to_json(counts)) == counts


@given(st.lists(st.tuples(st.none() | CELLS, st.none() | CELLS), max_size=6))
def test_what_is_told_of_changes_leads_from_what_was_to_what_is(moves: list[tuple[Cell | None, Cell | None]]) -> None:
    before = Counter(was for was, _ in moves if was is not None)
    after = Counter(now for _, now in moves if now is not None)
    told = [from_json(one.content) for one in told_of_counts(moves)]
    assert summed([before, *told]) == after
    assert told_of_counts([(now, now) for _, now in moves]) == []


@given(st.lists(st.tuples(st.text(max_size=3), COUNTS), max_size=6, unique_by=lambda one: one[0]))
def test_shares_hold_each_cell_once(partitions: list[tuple[str, dict[Cell, int]]]) -> None:
    shown = summed(
        shown_in(share, name, counts) for name, counts in partitions for share in shares_of(name, counts.keys())
    )
    assert {cell: count for cell, count in shown.items() if cell[0] != SCOPE} == summed(
        counts for _, counts in partitions
    )
    of_scopes = summed(
        {(SCOPE, name, cell[2]): count} for name, counts in partitions for cell, count in counts.items()
        if cell[0] == "ticket"
    )  # fmt: skip
    assert {cell: count for cell, count in shown.items() if cell[0] == SCOPE} == of_scopes


def test_the_desk_has_totals_by_one_thing_each() -> None:
    counts = {
        ("record", "london", "server", "active"): 1,
        ("record", "", "server", "active"): 1,
        ("record", "london", "server", "inactive"): 1,
        ("ticket", "london", "high"): 2,
        ("scope", "acorn", "high"): 2,
        ("object", "leeds", "2026-05-01"): 3,
    }
    assert Node("assets").sum_of([counts]) == {
        ("status", "active"): 2,
        ("status", "inactive"): 1,
        ("type", "server"): 2,
        ("site", "london"): 1,
        ("site", ""): 1,
        ("priority", "high"): 2,
        ("scope", "acorn", "high"): 2,
        ("expires", "2026-05-01"): 3,
    }


@given(st.lists(st.integers(1, 5), max_size=60), st.integers(1, 7))
def test_the_largest_scopes_of_all_are_found_among_the_largest_of_each_node(sizes: list[int], width: int) -> None:
    scopes: list[Counts] = [{(SCOPE, f"v{number}", "high"): size} for number, size in enumerate(sizes)]
    node = Node("tickets", 1, 2)
    nodes = [node.sum_of(scopes[start : start + width]) for start in range(0, len(scopes), width)]
    largest = sorted(((-size, f"v{number}") for number, size in enumerate(sizes)))[:SCOPES_SHOWN]
    assert Node("tickets").sum_of(nodes) == {(SCOPE, name, "high"): -size for size, name in largest}


def test_the_desk_names_the_sites_with_most() -> None:
    counts: list[Counts] = [
        {("record", f"s{number}", "server", "active"): number} for number in range(1, SITES_SHOWN + 3)
    ]
    shown = Node("assets").sum_of(counts)
    assert sorted(cell[1] for cell in shown if cell[0] == "site") == sorted(
        f"s{number}" for number in range(3, SITES_SHOWN + 3)
    )


@given(st.text(max_size=20), st.sampled_from([0, 17, SHARES - 1]))
def test_every_partition_leads_to_the_desk(partition: str, share: int) -> None:
    node = Node.above("assets", partition, share)
    assert [node.level, node.share] == [1, share]
    places = [node.place]
    while (parent := node.parent) is not None:
        assert Node.parse(node.children) == node
        assert node.place[0] == parent.children
        assert parent.level == node.level + 1
        node = parent
        places.append(node.place)
    assert len(places) == 3
    assert places[-1] == (DESK, "assets")
