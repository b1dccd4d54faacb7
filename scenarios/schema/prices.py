"""Sections `tariffs` and `costs` of a scenario."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stackelgrid.profiles.section import ClockTime, Finite, NonNegative, Positive, Section


class Costs(Section):
    """Prices outside of the tariffs.

    `stored_energy_eur_per_mwh` is the value of the increase in stored energy over a run; the
    default is the mean import price of the grid's tariff.
    """

    generation_factor: Positive = 1.0
    curtailment_eur_per_mwh: NonNegative = 0.0
    loss_eur_per_mwh: NonNegative = 0.0
    terminal: Literal["initial", "value"] = "initial"
    terminal_value_eur_per_mwh: NonNegative = 0.0
    stored_energy_eur_per_mwh: NonNegative | None = None


class TariffPeriod(Section):
    """Prices from a clock time until the next period begins."""

    from_: Annotated[ClockTime, Field(alias="from")]
    import_: Annotated[Finite, Field(alias="import")]
    export: Finite


class TariffSection(Section):
    """A tariff: `flat`, `time_of_use` or `series` (CSV or Parquet)."""

    kind: Literal["flat", "time_of_use", "series"]
    import_: Annotated[Finite | None, Field(alias="import")] = None
    export: Finite | None = None
    periods: tuple[TariffPeriod, ...] = ()
    file: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = {
            "import": self.import_ is not None,
            "export": self.export is not None,
            "periods": bool(self.periods),
            "file": self.file is not None,
        }
        wanted = {"flat": {"import", "export"}, "time_of_use": {"periods"}, "series": {"file"}}
        have = {k for k, v in given.items() if v}
        if have != wanted[self.kind]:
            raise ValueError(
                f"a {self.kind} tariff takes {' and '.join(sorted(wanted[self.kind]))}, "
                f"found {' and '.join(sorted(have)) or 'nothing'}"
            )
        return self


class TradeSection(Section):
    """Peer-to-peer trade of the prosumers (buses with a device that may trade), EUR/MWh.

    Without `fee_across_eur_per_mwh` prosumers do not trade with other grids of the same parent.
    """

    retail_margin_eur_per_mwh: NonNegative
    fee_inside_eur_per_mwh: NonNegative
    fee_across_eur_per_mwh: NonNegative | None = None
