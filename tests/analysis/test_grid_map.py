import numpy as np
import pandas as pd
import pytest

from stackelgrid.analysis.figures.grid_map import equal_grids, grid_map


def network(edges, places=None, source=0, grid="mv1"):
    """Rows of network.parquet for a grid of lines; `places` holds x and y by bus."""
    buses = sorted({bus for edge in edges for bus in edge})
    places = places or {}
    rows = [
        (grid, "bus", bus, f"b{bus}", bus, -1, *places.get(bus, (np.nan, np.nan))) for bus in buses
    ]
    rows += [(grid, "line", n, "", a, b, np.nan, np.nan) for n, (a, b) in enumerate(edges)]
    rows.append((grid, "ext_grid", 0, "", source, -1, np.nan, np.nan))
    columns = ["grid", "element", "index", "name", "bus", "to_bus", "x", "y"]
    return pd.DataFrame(rows, columns=columns)


def places_of(found):
    return {bus: (row.x, row.y) for bus, row in found.buses.iterrows()}


def test_a_meshed_grid_keeps_the_coordinates_of_its_net():
    known = {0: (9.0, 51.0), 1: (9.1, 51.2), 2: (9.3, 51.1)}
    found = grid_map(network([(0, 1), (1, 2), (2, 0)], known), "mv1")
    assert (found.surveyed, found.tree) == (True, False)
    assert places_of(found) == known
    assert found.branches[["bus", "to_bus"]].to_numpy().tolist() == [[0, 1], [1, 2], [2, 0]]


def test_a_radial_grid_is_a_tree_whatever_its_coordinates():
    spiral = {0: (0.0, 0.0), 1: (1.0, 0.0), 2: (1.0, 1.0)}
    found = grid_map(network([(0, 1), (1, 2)], spiral), "mv1")
    assert (found.surveyed, found.tree) == (False, True)
    assert places_of(found) == {0: (0.0, 0.0), 1: (1.0, 0.0), 2: (2.0, 0.0)}


def test_a_bus_without_coordinates_lies_beside_its_neighbour_away_from_the_others():
    known = {1: (0.0, 0.0), 2: (10.0, 0.0), 3: (10.0, 4.0), 4: (10.0, -4.0)}
    edges = [(0, 1), (1, 2), (2, 3), (2, 4), (3, 4)]
    found = grid_map(network(edges, known), "mv1")
    assert places_of(found)[0] == pytest.approx((-0.5, 0.0))  # 5 % of the extent, on the free side
    assert places_of(found)[2] == (10.0, 0.0)


def test_labels_are_the_numbers_of_the_tables_and_stand_where_no_line_begins():
    trunk = [(0, 1), (1, 2), (2, 3)]
    found = grid_map(network([*trunk, (1, 4)]), "mv1")
    buses = found.buses
    assert buses["label"].tolist() == ["0", "1", "2", "3", "4"]
    off = buses.loc[4, "y"] < buses.loc[1, "y"]  # the lateral lies below or above
    assert buses.loc[1, "side"] == ("above" if off else "below")
    assert (buses.loc[4, "side"], buses.loc[3, "side"]) == ("right", "above")


def test_grids_of_the_same_network_are_grouped_in_order():
    tables = [network([(0, 1), (1, 2)], grid=name) for name in ("b", "a")]
    tables.append(network([(0, 1), (0, 2)], grid="c"))
    assert equal_grids(pd.concat(tables), ["b", "c", "a"]) == [["b", "a"], ["c"]]


def test_a_tree_without_coordinates_grows_from_its_source_without_overlap():
    edges = [(0, 1), (1, 2), (2, 3), (1, 4), (4, 5), (2, 6)]
    found = grid_map(network(edges, source=0), "mv1")
    assert not found.surveyed
    places = places_of(found)
    assert len(set(places.values())) == 7
    depth = {0: 0, 1: 1, 2: 2, 4: 2, 3: 3, 5: 3, 6: 3}
    assert {bus: x for bus, (x, _) in places.items()} == depth
    assert places[3][1] == places[2][1] == places[1][1] == places[0][1]  # the longest goes straight
    assert found.buses.equals(grid_map(network(edges), "mv1").buses)


def test_a_meshed_grid_without_coordinates_is_laid_out_the_same_each_time():
    edges = [(0, 1), (1, 2), (2, 3), (3, 0), (1, 3), (3, 4)]
    found = grid_map(network(edges), "mv1")
    assert found.buses[["x", "y"]].notna().all(axis=None)
    assert len(set(places_of(found).values())) == 5
    assert found.buses.equals(grid_map(network(edges), "mv1").buses)


def test_equal_coordinates_of_all_buses_are_none():
    edges = [(0, 1), (1, 2), (2, 0)]
    found = grid_map(network(edges, dict.fromkeys(range(3), (0.0, 0.0))), "mv1")
    assert not found.surveyed
    assert len(set(places_of(found).values())) == 3
