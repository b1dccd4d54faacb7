"""A compiled model: its program and the places of its components."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stackelgrid.controllers.solvers.bound_rows import BoundRows
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.profiles.arrays import Ints


@dataclass(frozen=True)
class CompiledModel:
    """A conic program and where the components of the Pyomo model went.

    `columns[name]` are the columns of a variable component in the order of its index set,
    `parameters[name]` likewise positions in p, `rows[name]` the row of each linear constraint
    of a component (a range constraint's upper side; -1 for cones). `maximise` states that the
    program minimises the negated objective. `expressions` hold named expressions of the model as
    programs without rows, whose objective is the expression.
    """

    program: ConicProgram
    columns: Mapping[str, Ints]
    parameters: Mapping[str, Ints]
    rows: Mapping[str, Ints]
    row_names: Sequence[str]
    maximise: bool
    expressions: Mapping[str, ConicProgram] = field(default_factory=dict)

    def with_steps(self, names: Sequence[str], steps: int) -> "CompiledModel":
        """The same model with the columns by which a step depends on the one before.

        names: variables (members, steps) that enter the equations of the next step, as far as the
            model has them.
        steps: number of steps.
        """
        found = [self.columns[n].reshape(-1, steps) for n in names if n in self.columns]
        if not found:
            return self
        of_steps = tuple(np.concatenate([c[:, t] for c in found]) for t in range(steps))
        return replace(self, program=replace(self.program, steps=of_steps))

    def with_rare(self, bounds: Sequence[str] = (), rows: Sequence[str] = ()) -> "CompiledModel":
        """The same model, in whose program the bounds of variables and linear rows seldom bind."""
        found = BoundRows(self.program)
        of_columns = np.concatenate([np.zeros(0, np.int64), *(self.columns[n] for n in bounds)])
        inequality = ~found.equal & np.isin(found.columns, of_columns)
        named = [at for n in rows for at in self.rows[n].tolist()]
        rare = np.union1d(found.rows[inequality], np.array(named, dtype=np.int64))
        return replace(self, program=replace(self.program, rare=rare.astype(np.int64)))
