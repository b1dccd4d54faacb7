"""Correlation of errors across sites and quantities, with one random stream for each label."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from stackelgrid.profiles._checks import require_number
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.tables.reading import read_columns

# tolerance for negative eigenvalues: a matrix written with a few digits is rounded
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Label:
    """Site and quantity of an error; the market price has no site."""

    site: str
    quantity: str

    @property
    def text(self) -> str:
        """`site.quantity`, or the quantity of the market alone."""
        return f"{self.site}.{self.quantity}" if self.site else self.quantity


def correlation_matrix(values: npt.ArrayLike, owner: str) -> Floats:
    """Return `values` as a checked correlation matrix, shape (m, m).

    Raises ProfileError unless it is square, finite, symmetric, with a diagonal of 1 and no
    negative eigenvalue.
    """
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProfileError(f"{owner}: is no matrix; rows of equal length are accepted") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ProfileError(f"{owner}: has shape {matrix.shape}; a square matrix is accepted")
    wanted = "a symmetric positive semidefinite matrix with a diagonal of 1 is accepted"
    bad = np.argwhere(~(np.abs(matrix) <= 1.0 + _ROUNDING))  # NaN too
    if len(bad):
        row, column = bad[0]
        raise ProfileError(
            f"{owner}: entry ({row + 1}, {column + 1}) is {matrix[row, column]:g}; correlations in "
            "[-1, 1] are accepted"
        )
    off = np.flatnonzero(np.abs(np.diag(matrix) - 1.0) > _ROUNDING)
    if len(off):
        at = int(off[0])
        raise ProfileError(
            f"{owner}: entry ({at + 1}, {at + 1}) of the diagonal is {matrix[at, at]:g}; {wanted}"
        )
    unequal = np.argwhere(np.abs(matrix - matrix.T) > _ROUNDING)
    if len(unequal):
        row, column = unequal[0]
        raise ProfileError(
            f"{owner}: entry ({row + 1}, {column + 1}) is {matrix[row, column]:g} and "
            f"({column + 1}, {row + 1}) is {matrix[column, row]:g}; {wanted}"
        )
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    if smallest < -_ROUNDING * len(matrix):
        raise ProfileError(f"{owner}: has the negative eigenvalue {smallest:.3g}; {wanted}")
    return matrix


def lower_factor(matrix: Floats) -> Floats:
    """Return lower triangular L with L L' = matrix, for a semidefinite matrix too."""
    values, vectors = np.linalg.eigh(matrix)
    root = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
    upper = np.linalg.qr(root, mode="r")
    signs = np.where(np.diag(upper) < 0.0, -1.0, 1.0)
    factor: Floats = (signs[:, None] * upper).T
    return factor


@dataclass(frozen=True)
class SiteCorrelation:
    """Correlation by a number for all sites, or by a matrix over names.

    A number in [0, 1] correlates the same quantity at different sites. `names` of a matrix are
    sites (then the quantities are independent of one another and the market of all), or
    `site.quantity` and the market's quantity. Raises ProfileError for anything else.
    """

    number: float = 0.0
    names: tuple[str, ...] = ()
    matrix: Floats | None = None

    def __post_init__(self) -> None:
        """Raise ProfileError for a number out of range or an invalid matrix."""
        require_number("SiteCorrelation", "number", self.number, 0.0, 1.0)
        if self.matrix is not None:
            correlation_matrix(self.matrix, "SiteCorrelation")
            if len(self.names) != len(self.matrix) or len(set(self.names)) != len(self.names):
                raise ProfileError(
                    f"SiteCorrelation: {len(self.names)} names ({', '.join(self.names)}) for a "
                    f"matrix of {len(self.matrix)} rows; one distinct name a row is accepted"
                )

    def noise(
        self, labels: Sequence[Label], draw: Callable[[str, str], Floats]
    ) -> dict[Label, Floats]:
        """Return correlated standard normal series of all labels, each of the shape that is drawn.

        `draw(site, quantity)` returns the independent draws of one label; the site "" stands for
        the part common to all sites. Without a matrix the series of a label does not depend on the
        other labels. Raises ProfileError for a label that the matrix does not name.
        """
        if self.matrix is None:
            return {label: self._shared(label, draw) for label in labels}
        factor = lower_factor(self.matrix)
        return {label: self._mixed(label, factor, draw) for label in labels}

    def _shared(self, label: Label, draw: Callable[[str, str], Floats]) -> Floats:
        own = draw(label.site, label.quantity)
        if not label.site or self.number == 0.0:
            return own
        return math.sqrt(self.number) * draw("", label.quantity) + math.sqrt(1 - self.number) * own

    def _mixed(self, label: Label, factor: Floats, draw: Callable[[str, str], Floats]) -> Floats:
        by_site = label.site in self.names
        name = label.site if by_site else label.text
        if name not in self.names:
            if not label.site and not any("." in known for known in self.names):
                return draw(label.site, label.quantity)
            raise ProfileError(
                f"correlation matrix: no row for {label.text}; it has {', '.join(self.names)}"
            )
        row = factor[self.names.index(name)]
        # summed one by one: a matrix product would round differently with its size
        total: Floats | None = None
        for weight, source in zip(row, self.names, strict=True):
            if weight == 0.0:
                continue
            site, _, quantity = source.rpartition(".")
            drawn = draw(source, label.quantity) if by_site else draw(site, quantity)
            total = weight * drawn if total is None else total + weight * drawn
        assert total is not None
        return total


def read_correlation(path: Path) -> SiteCorrelation:
    """Read a correlation matrix: column `name`, then one column for each name in that order.

    CSV or Parquet. Raises ProfileError for another layout and for an invalid correlation matrix.
    """
    frame = read_columns(path)
    columns = [str(c) for c in frame.columns]
    if columns[0] != "name":
        raise ProfileError(f"{path}: the first column is {columns[0]!r}; 'name' is accepted")
    names = tuple(str(n) for n in frame["name"])
    if names != tuple(columns[1:]):
        raise ProfileError(
            f"{path}: rows are {', '.join(names) or 'none'} and columns "
            f"{', '.join(columns[1:]) or 'none'}; the same names in the same order are accepted"
        )
    numbers = frame[columns[1:]].apply(pd.to_numeric, errors="coerce")
    matrix = correlation_matrix(numbers.to_numpy(dtype=np.float64), str(path))
    return SiteCorrelation(names=names, matrix=matrix)
