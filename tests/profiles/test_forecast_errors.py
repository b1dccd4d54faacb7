"""Error processes: standard deviation by lead, agreement over updates, correlation."""

import numpy as np
import pandas as pd
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast_correlation import (
    Label,
    SiteCorrelation,
    correlation_matrix,
    lower_factor,
    read_correlation,
)
from stackelgrid.profiles.forecast_errors import ErrorModel

QUARTER_H = 0.25
PATHS = 4000
LENGTH = 160


@pytest.fixture(scope="module")
def white():
    return np.random.default_rng(20).standard_normal((PATHS, LENGTH))


def errors_of(model, white, issue):
    """Errors (paths, intervals) of the forecasts issued at one interval."""
    paths = [model.path(row, QUARTER_H) for row in white]
    return np.array([p.of(issue, issue, LENGTH - issue) for p in paths])


@pytest.mark.parametrize(("phi", "lead_h"), [(0.9, 24.0), (0.5, 2.0), (1.0, 24.0), (0.0, 24.0)])
@pytest.mark.parametrize("issue", [0, 40])
def test_standard_deviation_by_lead_is_the_stated_one(white, phi, lead_h, issue):
    model = ErrorModel(std=0.1, lead_h=lead_h, phi=phi)
    errors = errors_of(model, white, issue)
    for lead in (1, 2, 8, 40, 96):  # intervals from the last one seen
        expected = float(model.std_at(lead * QUARTER_H))
        # 3.5 standard errors of the standard deviation of a normal sample
        assert errors[:, lead - 1].std() == pytest.approx(expected, rel=3.5 / np.sqrt(2 * PATHS))
    assert abs(errors[:, 95].mean()) < 3.5 * float(model.std_at(24.0)) / np.sqrt(PATHS)


def test_calibration_at_the_stated_lead():
    for phi in (0.0, 0.3, 0.95, 1.0 - 1e-9, 1.0):
        assert ErrorModel(0.1, 24.0, phi).std_at(24.0) == pytest.approx(0.1, rel=1e-12)
    # a random walk grows with the square root; an AR(1) towards its stationary spread
    assert ErrorModel(0.1, 24.0, 1.0).std_at(6.0) == pytest.approx(0.05, rel=1e-12)
    assert ErrorModel(0.1, 24.0, 1.0 - 1e-9).std_at(6.0) == pytest.approx(0.05, rel=1e-6)
    model = ErrorModel(0.1, 4.0, 0.8)
    expected = 0.1 * np.sqrt((1 - 0.8 ** (2 * 1.5)) / (1 - 0.8**8))
    assert model.std_at(1.5) == pytest.approx(expected, rel=1e-12)
    leads = np.arange(1, 97) * QUARTER_H
    assert (np.diff(model.std_at(leads)) > 0.0).all()


def test_revisions_are_the_news_alone(white):
    """Martingale: an update removes what became known, independent of what stays unknown."""
    model = ErrorModel(0.1, 24.0, 0.9)
    before, after = errors_of(model, white, 40), errors_of(model, white, 41)
    kept = 0.9**QUARTER_H
    news = before[:, 0]  # the error in interval 40, seen by the update at 41
    for ahead in (1, 4, 24):
        revision = before[:, ahead] - after[:, ahead - 1]
        np.testing.assert_allclose(revision, kept**ahead * news, atol=1e-14)
        assert abs(np.corrcoef(revision, after[:, ahead - 1])[0, 1]) < 3.5 / np.sqrt(PATHS)
        # successive forecasts of one moment are alike
        expected = model.std_at(ahead * QUARTER_H) / model.std_at((ahead + 1) * QUARTER_H)
        correlation = np.corrcoef(before[:, ahead], after[:, ahead - 1])[0, 1]
        assert correlation == pytest.approx(float(expected), abs=3.5 / np.sqrt(PATHS))


def test_errors_of_neighbouring_intervals_are_correlated(white):
    model = ErrorModel(0.1, 24.0, 0.6)
    errors = errors_of(model, white, 0)
    # far ahead the process is stationary: an hour apart phi, two hours phi^2
    for hours in (1, 2):
        correlation = np.corrcoef(errors[:, 100], errors[:, 100 + 4 * hours])[0, 1]
        assert correlation == pytest.approx(0.6**hours, abs=3.5 / np.sqrt(PATHS))


def test_level_scales_spread_and_bias_and_zero_leaves_nothing(white):
    model = ErrorModel(0.1, 24.0, 0.9, bias=0.02)
    single = model.path(white[0], QUARTER_H)
    double = model.scaled(2.0).path(white[0], QUARTER_H)
    np.testing.assert_allclose(double.of(7, 7, 20), 2.0 * single.of(7, 7, 20), rtol=1e-12)
    assert not model.scaled(0.0).path(white[0], QUARTER_H).of(7, 7, 20).any()
    unbiased = ErrorModel(0.1, 24.0, 0.9).path(white[0], QUARTER_H)
    np.testing.assert_allclose(single.of(7, 7, 20) - unbiased.of(7, 7, 20), 0.02, atol=1e-15)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"std": -0.1}, "std is -0.1"),
        ({"std": np.nan}, "std is nan"),
        ({"lead_h": 0.0}, "lead_h is 0.0"),
        ({"phi": 1.1}, "phi is 1.1"),
        ({"bias": np.inf}, "bias is inf"),
    ],
)
def test_bad_parameters_are_refused(change, said):
    with pytest.raises(ProfileError, match=said):
        ErrorModel(**{"std": 0.1, "lead_h": 24.0, "phi": 0.9, "bias": 0.0, **change})


def test_negative_level_is_refused():
    with pytest.raises(ProfileError, match="level is -1"):
        ErrorModel(0.1, 24.0, 0.9).scaled(-1.0)


# ---------------------------------------------------------------- correlation


def drawer(length=20000, seed=5):
    def draw(site, quantity):
        words = [seed, *(site + "/" + quantity).encode()]
        return np.random.default_rng(words).standard_normal(length)

    return draw


LABELS = [Label(s, q) for s in ("mv1", "lv1", "lv2") for q in ("load", "pv")] + [Label("", "price")]


def correlations(noise):
    return np.corrcoef(np.array([noise[label] for label in LABELS]))


def test_a_number_correlates_the_same_quantity_across_sites():
    found = correlations(SiteCorrelation(0.6).noise(LABELS, drawer()))
    for i, a in enumerate(LABELS):
        for j, b in enumerate(LABELS):
            expected = 1.0 if a == b else 0.6 if a.site and a.quantity == b.quantity else 0.0
            assert found[i, j] == pytest.approx(expected, abs=0.03)


def test_a_matrix_of_sites_holds_for_each_quantity():
    matrix = np.array([[1.0, 0.8, -0.3], [0.8, 1.0, 0.2], [-0.3, 0.2, 1.0]])
    found = correlations(
        SiteCorrelation(0.0, ("mv1", "lv1", "lv2"), matrix).noise(LABELS, drawer())
    )
    for quantity in (0, 1):
        at = np.arange(quantity, 6, 2)
        np.testing.assert_allclose(found[np.ix_(at, at)], matrix, atol=0.03)
    np.testing.assert_allclose(found[np.ix_([0, 2, 4], [1, 3, 5])], 0.0, atol=0.03)


def test_a_matrix_of_sites_and_quantities_is_met():
    names = tuple(label.text for label in LABELS)
    root = np.random.default_rng(0).standard_normal((len(names), 3))  # of rank 3: semidefinite
    matrix = root @ root.T
    matrix /= np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
    np.fill_diagonal(matrix, 1.0)
    found = correlations(SiteCorrelation(0.0, names, matrix).noise(LABELS, drawer()))
    np.testing.assert_allclose(found, matrix, atol=0.03)


def test_another_site_changes_no_error_of_the_others():
    more = [*LABELS[:2], Label("new", "load"), *LABELS[2:]]
    few, many = (SiteCorrelation(0.6).noise(labels, drawer(50)) for labels in (LABELS, more))
    for label in LABELS:
        np.testing.assert_array_equal(few[label], many[label])
    three = np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]])
    pair = SiteCorrelation(0.0, ("mv1", "lv1"), three[:2, :2]).noise(LABELS[:4], drawer(50))
    triple = SiteCorrelation(0.0, ("mv1", "lv1", "lv2"), three).noise(LABELS[:6], drawer(50))
    for label in LABELS[:4]:
        np.testing.assert_allclose(pair[label], triple[label], atol=1e-13)


def test_factor_of_a_singular_matrix():
    matrix = np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.5, 0.5, 1.0]])
    factor = lower_factor(matrix)
    np.testing.assert_allclose(factor @ factor.T, matrix, atol=1e-12)
    np.testing.assert_allclose(factor, np.tril(factor), atol=1e-12)
    assert (np.diag(factor) >= 0.0).all()


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ([[1.0, 0.5]], "shape \\(1, 2\\)"),
        ([[1.0, 0.5], [0.4, 1.0]], "entry \\(1, 2\\) is 0.5 and \\(2, 1\\) is 0.4"),
        ([[1.0, 0.5], [0.5, 0.9]], "entry \\(2, 2\\) of the diagonal is 0.9"),
        ([[1.0, 1.5], [1.5, 1.0]], "is 1.5; correlations in \\[-1, 1\\]"),
        ([[1.0, np.nan], [np.nan, 1.0]], "is nan"),
        ([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]], "negative eigenvalue -0.8"),
        ([[1.0, 0.5], [0.5]], "rows of equal length"),
    ],
)
def test_what_is_no_correlation_matrix_is_refused(matrix, said):
    with pytest.raises(ProfileError, match=said):
        correlation_matrix(matrix, "matrix")


def test_matrix_from_a_file(tmp_path):
    path = tmp_path / "matrix.csv"
    pd.DataFrame({"name": ["mv1", "lv1"], "mv1": [1, 0.25], "lv1": [0.25, 1]}).to_csv(
        path, index=False
    )
    read = read_correlation(path)
    assert read.names == ("mv1", "lv1")
    np.testing.assert_array_equal(read.matrix, [[1.0, 0.25], [0.25, 1.0]])
    path.write_text("name,lv1,mv1\nmv1,1,0.25\nlv1,0.25,1\n", encoding="utf-8")
    with pytest.raises(ProfileError, match="same names in the same order"):
        read_correlation(path)
    path.write_text("name,mv1,lv1\nmv1,1,x\nlv1,0.25,1\n", encoding="utf-8")
    with pytest.raises(ProfileError, match="entry \\(1, 2\\) is nan"):
        read_correlation(path)


def test_a_label_without_a_row_is_refused():
    matrix = SiteCorrelation(0.0, ("mv1",), np.ones((1, 1)))
    with pytest.raises(ProfileError, match=r"no row for lv1.load; it has mv1"):
        matrix.noise([Label("lv1", "load")], drawer(5))
