"""Section `ensemble` of a scenario: a grid of error levels, schemes and horizons, and members."""

from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from stackelgrid.analysis.ensemble.variants import OWN, PERFECT
from stackelgrid.profiles.section import Name, Named, NonNegative, Section
from stackelgrid.profiles.size_limits import ENSEMBLE_RUNS, INTERVALS
from stackelgrid.scenarios.schema.horizon import HorizonStep, check_steps

T = TypeVar("T")
Count = Annotated[int, Field(ge=1)]
Scheme = Annotated[str, Named("class"), Field(pattern=r"^[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?$")]


def _once(values: tuple[T, ...]) -> tuple[T, ...]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} given twice; once is accepted")
    return values


Once = Annotated[tuple[T, ...], AfterValidator(_once)]
ErrorLevels = Annotated[Once[NonNegative], Field(min_length=1)]


class VariantSection(Section):
    """Another horizon or number of intervals between decisions; defaults are the scenario's."""

    steps: Annotated[tuple[HorizonStep, ...] | None, Field(min_length=1)] = None
    resolve_every: Count | None = None

    @model_validator(mode="after")
    def _varies(self) -> Self:
        if self.steps is None and self.resolve_every is None:
            raise ValueError("varies nothing; steps or resolve_every, or both, are accepted")
        check_steps(self.steps or ())
        return self


class EnsembleSize(Section):
    """A named size: its keys replace those of the section; `variants` selects some variants."""

    error_levels: ErrorLevels | None = None
    schemes: Annotated[Once[Scheme] | None, Field(min_length=1)] = None
    members: Count | None = None
    intervals: Annotated[int | None, Field(ge=1, le=INTERVALS)] = None
    variants: Once[Name] | None = None


class EnsembleSection(Section):
    """Members x error levels x schemes x horizons.

    Error levels multiply the standard deviations and biases of forecast errors. `schemes` defaults
    to the scenario's controller. Members share the realised loads and sky and differ in their
    forecast errors; with `vary_world` they also differ in loads and sky. Without
    `memory_per_worker_mb` the workers of this machine share its memory.
    """

    error_levels: ErrorLevels = (1.0,)
    schemes: Once[Scheme] = ()
    members: Count = 10
    vary_world: bool = False
    variants: dict[Name, VariantSection] = Field(default_factory=dict)
    memory_per_worker_mb: Annotated[int | None, Field(ge=256, le=100_000_000)] = None
    sizes: dict[Name, EnsembleSize] = Field(default_factory=dict)

    @field_validator("variants")
    @classmethod
    def _own_names(cls, variants: dict[str, VariantSection]) -> dict[str, VariantSection]:
        for name in (OWN, PERFECT):
            if name in variants:
                raise ValueError(f"{name} is the name of the scenario's own runs; choose another")
        return variants

    @field_validator("sizes")
    @classmethod
    def _known(
        cls, sizes: dict[str, EnsembleSize], info: ValidationInfo
    ) -> dict[str, EnsembleSize]:
        known = info.data.get("variants", {})
        for name, size in sizes.items():
            for variant in size.variants or ():
                if variant not in known:
                    accepted = ", ".join(known) or "none"
                    raise ValueError(f"{name}: variant {variant!r} unknown; known: {accepted}")
        return sizes

    @model_validator(mode="after")
    def _sized(self) -> Self:
        for name, size in (("", None), *self.sizes.items()):
            own = size or EnsembleSize()
            variants = self.variants if own.variants is None else own.variants
            try:
                check_ensemble_runs(
                    own.members or self.members,
                    len(own.error_levels or self.error_levels),
                    len(own.schemes or self.schemes or (OWN,)),
                    2 + len(variants),  # besides the scenario's own and perfect foresight
                )
            except ValueError as error:
                raise ValueError(f"{name}: {error}" if name else str(error)) from error
        return self


def check_ensemble_runs(members: int, levels: int, schemes: int, variants: int) -> None:
    """Refuse an ensemble of too many runs; raises ValueError."""
    runs = members * levels * schemes * variants
    if runs > ENSEMBLE_RUNS:
        raise ValueError(
            f"{members:,} members x {levels:,} error levels x {schemes:,} schemes x {variants:,} "
            f"horizons = {runs:,} runs; at most {ENSEMBLE_RUNS:,} are accepted"
        )
