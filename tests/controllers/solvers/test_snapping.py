"""Integers by the direction of the relaxed point."""

import numpy as np

from stackelgrid.controllers.solvers.snapping import SnapRule, snap_by_direction

# columns: 0-1 modes, 2-3 charge, 4-5 discharge, 6 more discharge of the second, 7 an integer
RULE = SnapRule(np.array([0, 1]), (np.array([2, 3]),), (np.array([4, 5]),))
INTEGER = np.array([0, 1, 7])


def test_the_larger_flow_decides_and_a_tie_goes_up():
    snap = snap_by_direction(INTEGER, [RULE])
    # whatever the relaxed binaries are
    x = np.array([0.0, 1.0, 0.3, 0.1, 0.2, 0.4, 0.0, 2.4])
    np.testing.assert_array_equal(snap(x), [1.0, 0.0, 2.0])
    x[[2, 3, 4, 5]] = (0.0, 0.2, 0.0, 0.2)
    np.testing.assert_array_equal(snap(x), [1.0, 1.0, 2.0])
    assert x[0] == 0.0  # the relaxed point stays as it was


def test_sums_of_several_columns_count():
    rule = SnapRule(np.array([1]), (np.array([3]),), (np.array([5]), np.array([6])))
    snap = snap_by_direction(INTEGER, [rule])
    x = np.array([0.6, 0.9, 0.0, 0.5, 0.0, 0.3, 0.3, -1.6])
    # without a rule the nearest integer
    np.testing.assert_array_equal(snap(x), [1.0, 0.0, -2.0])


def test_a_rule_without_columns_on_one_side_compares_with_nothing():
    nothing = SnapRule(np.array([0]), (), (np.array([4]),))
    x = np.array([1.0, 1.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(snap_by_direction(INTEGER, [nothing])(x), [0.0, 1.0, 0.0])
    empty = SnapRule(np.zeros(0, int), (np.zeros(0, int),), (np.zeros(0, int),))
    np.testing.assert_array_equal(snap_by_direction(INTEGER, [empty])(x), [1.0, 1.0, 0.0])


def test_a_shifted_rule_is_the_same_rule_further_on():
    x = np.array([0.0, 1.0, 0.3, 0.1, 0.2, 0.4, 0.0, 2.4])
    behind = np.concatenate([np.full(5, 9.0), x])
    snap = snap_by_direction(5 + INTEGER, [RULE.shifted(5)])
    np.testing.assert_array_equal(snap(behind), snap_by_direction(INTEGER, [RULE])(x))
