"""Lower bound of a conic program that any multipliers prove.

For multipliers z in the dual cone and the residual r = P x + q + A'z at some x, weak duality gives
for every feasible y

    objective(y) >= -1/2 x'P x - b'z + offset + r'y >= ... + sum_j min(r_j lower_j, r_j upper_j),

so a residual only costs what it can earn within the boxes of the columns (Neumaier and
Shcherbina 2004, doi 10.1007/s10107-003-0433-3, for linear programs).
"""

import numpy as np
from scipy.sparse import csc_array, csr_array, diags_array

from stackelgrid.controllers.solvers.checks import in_dual_cone
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.reduce.column_boxes import ColumnBoxes
from stackelgrid.profiles.arrays import Floats

_ROUNDING = 1e-14  # of a shifted residual, relative to the multiplier that shifts it


class DualBound:
    """Bound to one program; used for any data and multipliers."""

    def __init__(self, program: ConicProgram) -> None:
        self.program = program
        self._boxes = ColumnBoxes(program)
        low, high = self._boxes.at(np.zeros(program.rows))
        free = np.isinf(low) | np.isinf(high)
        free[self._boxes.bounds.columns] = False
        cones = csr_array(program.matrix)[program.linear :, :]
        self.possible = not bool(free[cones.indices].any())
        """False where a column of a cone has no box: then hardly any multipliers prove a bound."""
        self._transposed = csr_array(program.matrix.T)
        self._equations = csr_array(csr_array(program.matrix)[: program.zero, :])
        if program.varying is not None:  # residuals are moved along constant equations
            constant = np.ones(program.zero)
            constant[program.varying.rows[program.varying.rows < program.zero]] = 0.0
            self._equations = csr_array(diags_array(constant) @ self._equations)
            self._equations.eliminate_zeros()
        self._by_column = csc_array(self._equations)
        # columns without both bounds in each equation
        self._crowd: Floats = (abs(self._equations) > 0.0) @ self._boxes.open.astype(np.float64)

    def value(self, x: Floats, z: Floats, data: ProgramData) -> float:
        """Proven bound; -inf where a residual stands on a column without a box."""
        z = in_dual_cone(self.program, z)
        curved = self.program.hessian @ x
        if data.coefficients is None:
            pull = self._transposed @ z
        else:
            pull = self.program.at(data).matrix.T @ z
        residual = curved + data.q + pull
        lower, upper = self._boxes.at(data.b)
        residual, price = self._shifted(residual, z, lower, upper)
        lower, upper = self._within_multipliers(residual, z, lower, upper)
        best = np.where(residual > 0.0, lower, upper)
        at = residual != 0.0
        if not np.isfinite(best[at]).all():
            return -np.inf
        charge = float(residual[at] @ best[at])
        moved = float(data.b[: self.program.zero] @ price)
        return float(data.offset - 0.5 * x @ curved - data.b @ z - moved + charge)

    def _within_multipliers(
        self, residual: Floats, z: Floats, lower: Floats, upper: Floats
    ) -> tuple[Floats, Floats]:
        """Boxes in which a column without one bound gets the other, where its multiplier allows.

        A residual may be taken off the multiplier of a bound as well as added to it.
        """
        bounds = self._boxes.bounds
        spare = z[bounds.rows] * np.abs(bounds.values)
        column = bounds.columns
        falls = ~bounds.equal & np.isinf(upper)[column] & (bounds.values < 0.0)
        rises = ~bounds.equal & np.isinf(lower)[column] & (bounds.values > 0.0)
        falls &= (residual[column] < 0.0) & (spare >= -residual[column])
        rises &= (residual[column] > 0.0) & (spare >= residual[column])
        lower, upper = lower.copy(), upper.copy()
        upper[column[falls]] = lower[column[falls]]
        lower[column[rises]] = upper[column[rises]]
        return lower, upper

    def _shifted(
        self, residual: Floats, z: Floats, lower: Floats, upper: Floats
    ) -> tuple[Floats, Floats]:
        """Move residuals that no box bounds to the other columns of an equation each."""
        price = np.zeros(self.program.zero)
        low, high = self._within_multipliers(residual, z, lower, upper)
        bound = np.where(residual > 0.0, low, high)
        taken: set[int] = set()
        columns = np.flatnonzero((residual != 0.0) & np.isinf(bound)).tolist()
        for column in columns:
            part = slice(self._by_column.indptr[column], self._by_column.indptr[column + 1])
            rows, values = self._by_column.indices[part], self._by_column.data[part]
            for k in np.argsort(self._crowd[rows], kind="stable").tolist():
                if int(rows[k]) not in taken and values[k] != 0.0:
                    taken.add(int(rows[k]))
                    price[rows[k]] = -residual[column] / values[k]
                    break
        if columns:
            residual = residual + self._equations.T @ price
            rounding = _ROUNDING * float(np.abs(price).max(initial=0.0))
            residual[columns] = np.where(
                np.abs(residual[columns]) <= rounding, 0.0, residual[columns]
            )
        return residual, price
