"""Section `exactness` of a scenario: the sweep of the verb `exactness` (docs/exactness.md)."""

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, create_model, model_validator

from stackelgrid.analysis.study_columns import DIMENSIONS, SCALES
from stackelgrid.profiles.section import ClockTime, Finite, Name, Section
from stackelgrid.profiles.size_limits import SWEEP_POINTS

Count = Annotated[int, Field(ge=1)]
Design = Literal["grid", "latin_hypercube"]


class Dimension(Section):
    """Values of one dimension: a list of levels, or a range with a number of levels.

    In a Latin hypercube a range is sampled and has no `count`.
    """

    levels: Annotated[tuple[Finite, ...], Field(min_length=1)] | None = None
    from_: Annotated[Finite | None, Field(alias="from")] = None
    to: Finite | None = None
    count: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _list_of_levels(cls, data: object) -> object:
        if isinstance(data, list | tuple):
            if not data:
                raise ValueError("is empty; at least one level is accepted")
            return {"levels": data}
        if not isinstance(data, dict | Dimension):
            raise ValueError(f"{data!r}: a list of levels or {{ from, to, count }} is accepted")
        return data

    @model_validator(mode="after")
    def _levels_or_range(self) -> Self:
        if self.levels is not None:
            if self.from_ is not None or self.to is not None or self.count is not None:
                raise ValueError("either a list of levels or { from, to, count } is accepted")
            twice = sorted({v for v in self.levels if self.levels.count(v) > 1})
            if twice:
                raise ValueError(f"level {twice[0]:g} given twice")
            return self
        if self.from_ is None or self.to is None:
            raise ValueError("a range needs from and to")
        if self.from_ > self.to:
            raise ValueError(f"from = {self.from_:g} lies above to = {self.to:g}")
        if self.from_ == self.to:
            raise ValueError(
                f"the range from {self.from_:g} to {self.to:g} is empty; "
                f"one value is a list, [{self.to:g}]"
            )
        if self.count == 1:
            raise ValueError("a range has a count of at least 2; one value is a list")
        return self

    @property
    def lowest(self) -> float:
        """Smallest value."""
        return min(self.levels) if self.levels is not None else self._ends[0]

    @property
    def highest(self) -> float:
        """Largest value."""
        return max(self.levels) if self.levels is not None else self._ends[1]

    @property
    def levels_count(self) -> int:
        """Number of levels of a grid."""
        return len(self.levels) if self.levels is not None else self.count or 0

    @property
    def _ends(self) -> tuple[float, float]:
        assert self.from_ is not None
        assert self.to is not None
        return self.from_, self.to


class _Dimensions(Section):
    """Varied quantities; scales multiply devices of the scenario's feeder by kind."""

    design: Design | None = None
    points: Count | None = None
    export_price_eur_per_mwh: Dimension | None = None
    vm_max_pu: Dimension | None = None

    @property
    def given(self) -> dict[str, Dimension]:
        """The dimensions that are varied, by name."""
        named = ((name, getattr(self, name)) for name in DIMENSIONS)
        return {name: dimension for name, dimension in named if dimension is not None}

    @model_validator(mode="after")
    def _physical(self) -> Self:
        for name, dimension in self.given.items():
            if name in SCALES and dimension.lowest < 0.0:
                raise ValueError(f"{name} = {dimension.lowest:g} is negative; >= 0 is accepted")
        ceiling = self.vm_max_pu
        if ceiling is not None and ceiling.lowest <= 0.0:
            raise ValueError(f"vm_max_pu = {ceiling.lowest:g} is not accepted: a voltage is > 0")
        return self


if TYPE_CHECKING:
    Dimensions = _Dimensions
else:  # the kinds of devices bring their own dimensions
    Dimensions = create_model(
        "Dimensions",
        __base__=_Dimensions,
        __doc__=_Dimensions.__doc__,
        **dict.fromkeys(SCALES, (Dimension | None, None)),
    )


class ExactnessSection(Dimensions):
    """A sweep; `sizes` holds named variants whose keys replace those of the section."""

    grid: Name | None = None
    export_hours: tuple[ClockTime, ClockTime] | None = None
    sizes: Annotated[dict[str, Dimensions], Field(default_factory=dict)]

    @model_validator(mode="after")
    def _sweeps(self) -> Self:
        for size in self.sizes or (None,):
            label = "" if size is None else f"size {size}: "
            try:
                check_sweep(self.sweep(size))
            except ValueError as error:
                raise ValueError(f"{label}{error}") from error
        if self.export_hours is not None:
            if self.export_hours[0] == self.export_hours[1]:
                raise ValueError("export_hours begin and end at the same time")
            named: list[Dimensions] = [self, *self.sizes.values()]
            if all(d.export_price_eur_per_mwh is None for d in named):
                raise ValueError("export_hours need export_price_eur_per_mwh")
        return self

    def sweep(self, size: str | None) -> Dimensions:
        """Return the sweep of a size; without sizes the section itself."""
        own = {k: getattr(self, k) for k in ("design", "points", *DIMENSIONS)}
        if size is not None:
            chosen = self.sizes[size]
            own |= {k: getattr(chosen, k) for k in own if getattr(chosen, k) is not None}
        return Dimensions.model_construct(**own)


def check_sweep(sweep: Dimensions) -> None:
    """Refuse a sweep that is incomplete or too large."""
    given = sweep.given
    if not given:
        raise ValueError(f"no dimension is varied; at least one of {', '.join(DIMENSIONS)}")
    if sweep.design is None:
        raise ValueError('design is missing; "grid" or "latin_hypercube" is accepted')
    ranges = {name: d for name, d in given.items() if d.levels is None}
    if sweep.design == "latin_hypercube":
        if sweep.points is None:
            raise ValueError("a latin_hypercube needs points")
        counted = [name for name, d in ranges.items() if d.count is not None]
        if counted:
            raise ValueError(f"{counted[0]}: a latin_hypercube samples a range, it has no count")
    else:
        if sweep.points is not None:
            raise ValueError("a grid has no points: they follow from its levels")
        open_ = [name for name, d in ranges.items() if d.count is None]
        if open_:
            raise ValueError(f"{open_[0]}: a range of a grid needs a count")
    planned = planned_points(sweep)
    if planned > SWEEP_POINTS:
        raise ValueError(f"{planned:,} points; at most {SWEEP_POINTS:,} are accepted")


def planned_points(sweep: Dimensions) -> int:
    """Return the number of points."""
    if sweep.design == "latin_hypercube":
        return sweep.points or 0
    return math.prod(d.levels_count for d in sweep.given.values())
