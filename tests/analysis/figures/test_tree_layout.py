"""Radial grids as trees: straight main branches, no two lines cross, no bus on another."""

from itertools import combinations

import networkx as nx
import pytest

from stackelgrid.analysis.figures.tree_layout import tree_places


def turn(a, b, c):
    """Sign of the turn from a over b to c: 0 on one line."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (area > 0) - (area < 0)


def touch(first, second):
    """True if two segments share a point; whole numbers, so that this is exact."""
    (a, b), (c, d) = first, second
    if turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0:
        return True

    def on(p, q, r):
        inside = min(p[0], q[0]) <= r[0] <= max(p[0], q[0])
        return turn(p, q, r) == 0 and inside and min(p[1], q[1]) <= r[1] <= max(p[1], q[1])

    return on(a, b, c) or on(a, b, d) or on(c, d, a) or on(c, d, b)


@pytest.mark.parametrize("seed", range(8))
def test_no_two_lines_of_a_tree_touch_unless_they_share_a_bus(seed):
    graph = nx.random_labeled_tree(40, seed=seed)
    places = tree_places(graph, 0)
    assert len(set(places.values())) == 40
    for first, second in combinations(graph.edges, 2):
        if not set(first) & set(second):
            segments = [tuple(places[bus] for bus in edge) for edge in (first, second)]
            assert not touch(*segments), (first, second)


def test_depth_is_the_number_of_lines_and_the_longest_branch_is_straight():
    graph = nx.Graph([(0, 1), (1, 2), (2, 3), (1, 4), (4, 5), (2, 6)])
    places = tree_places(graph, 0)
    depth = nx.single_source_shortest_path_length(graph, 0)
    assert {bus: x for bus, (x, _) in places.items()} == depth
    assert places[0][1] == places[1][1] == places[2][1] == places[3][1]


def test_a_feeder_with_short_laterals_stays_in_few_rows():
    trunk = [(k, k + 1) for k in range(20)]
    laterals = [(k, 100 + k) for k in range(1, 20)]
    places = tree_places(nx.Graph(trunk + laterals), 0)
    assert len({row for _, row in places.values()}) == 3  # trunk, and laterals on both sides


def test_a_branch_keeps_a_gap_to_the_one_that_ends_in_its_row():
    trunk = [(k, k + 1) for k in range(12)]
    first, second = [(1, 21), (21, 22), (22, 23)], [(4, 31), (31, 32)]  # 23 ends at depth 4
    places = tree_places(nx.Graph(trunk + first + second), 0)
    assert places[23][1] != places[31][1]


def test_islands_follow_below_and_share_no_row():
    places = tree_places(nx.Graph([(0, 1), (7, 8), (8, 9)]), 0)
    assert places[0] == (0, 0)
    assert {places[bus][1] for bus in (7, 8, 9)} == {1}
