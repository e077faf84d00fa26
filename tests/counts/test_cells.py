"""Counts as values, and the trees that they are copied up in."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shared.counts.cells import Cell, Counts, difference, from_json, record_cell, summed, to_json
from shared.counts.trees import SCOPE, SCOPES_SHOWN, SITE_SHARES, Node, Tree, node_above, shares_of, shown_in, sum_in

NAMES = st.sampled_from(["", "london", "leeds", "ÿork: 2|3@", "server", "active"])
CELLS = st.one_of(
    st.tuples(st.just("record"), NAMES, NAMES, st.sampled_from(["active", "inactive"])),
    st.tuples(st.just("ticket"), NAMES, st.sampled_from(["high", "low"]), st.just("expiry"), st.just("open")),
    st.tuples(st.just("object"), NAMES, st.sampled_from(["", "2026-05-01", "2026-05-02"])),
)
COUNTS = st.dictionaries(CELLS, st.integers(-3, 9).filter(bool), max_size=8)


@given(COUNTS)
def test_counts_come_back_from_their_json(counts: dict[Cell, int]) -> None:
    assert from_json(to_json(counts)) == counts


@given(st.lists(CELLS, max_size=6), st.lists(CELLS, max_size=6))
def test_a_difference_leads_from_what_was_to_what_is(before: list[Cell], after: list[Cell]) -> None:
    assert summed([Counter(before), difference(before, after)]) == Counter(after)
    assert difference(after, after) == {}


@given(st.lists(st.tuples(st.text(max_size=3), COUNTS), max_size=6, unique_by=lambda one: one[0]))
def test_trees_of_sites_hold_each_cell_of_a_site_once(partitions: list[tuple[str, dict[Cell, int]]]) -> None:
    of_sites = [
        shown_in(Tree("assets", share), name, counts) for name, counts in partitions for share in shares_of(counts)
    ]
    everything = summed(counts for _, counts in partitions)
    assert summed(of_sites) == {cell: count for cell, count in everything.items() if cell[1]}


def test_the_desks_tree_has_totals_by_one_thing_each() -> None:
    records = [
        record_cell({"active": True, "type": "server", "site": "london"}),
        record_cell({"type": "server"}),
        record_cell({"active": False, "type": "server", "site": "london"}),
    ]
    assert shown_in(Tree("assets"), "aws:1:r", Counter(records)) == {
        ("status", "active"): 2,
        ("status", "inactive"): 1,
        ("type", "server"): 2,
        ("site", "london"): 1,
        ("site", ""): 1,
    }


@given(st.lists(st.integers(1, 5), max_size=60), st.integers(1, 7))
def test_the_largest_scopes_of_all_are_found_among_the_largest_of_each_node(sizes: list[int], width: int) -> None:
    scopes: list[Counts] = [{(SCOPE, f"v{number}", "high"): size} for number, size in enumerate(sizes)]
    nodes = [sum_in(scopes[start : start + width]) for start in range(0, len(scopes), width)]
    largest = sorted(((-size, f"v{number}") for number, size in enumerate(sizes)))[:SCOPES_SHOWN]
    assert sum_in(nodes) == {(SCOPE, name, "high"): -size for size, name in largest}


@given(st.text(max_size=20), st.sampled_from([Tree("assets"), Tree("users", 0), Tree("tickets", SITE_SHARES - 1)]))
def test_every_partition_leads_to_the_top_of_its_tree(partition: str, tree: Tree) -> None:
    node = node_above(tree, partition)
    places = [node.place]
    while (parent := node.parent) is not None:
        assert Node.parse(node.children) == node
        assert node.place.partition == parent.children
        node = parent
        places.append(node.place)
    assert len(places) == len(tree.levels)
    assert places[-1].row == tree.name
