"""Sections `forecast` and `deviations`: forecasts of controllers, and realised deviations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, create_model, model_validator

from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast_correlation import correlation_matrix
from stackelgrid.profiles.forecast_errors import ErrorModel
from stackelgrid.profiles.forecast_table import QUANTITIES
from stackelgrid.profiles.section import (
    ClockTime,
    Finite,
    NonNegative,
    Positive,
    Section,
    Share,
    TableFile,
)
from stackelgrid.profiles.tables.reading import ENDINGS

Model = Literal["perfect", "persistence", "autoregressive", "file"]
Persistence = Literal["day_before", "last", "clear_sky"]


def _correlation(value: Any) -> Any:
    """Refuse values other than a number, a correlation matrix or the name of a file."""
    if isinstance(value, str):
        if Path(value).suffix.lower() not in ENDINGS:
            raise ValueError(
                f"{value!r} is not the file of a matrix; one ending in {', '.join(ENDINGS)} is "
                "accepted"
            )
    elif isinstance(value, list | tuple):
        try:
            matrix = correlation_matrix(value, "the matrix")
        except ProfileError as error:
            raise ValueError(str(error)) from error
        return tuple(tuple(float(v) for v in row) for row in matrix)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ValueError(
            f"{value!r} is not accepted: a number in [0, 1], a correlation matrix of the grids or "
            "the name of a file with one is"
        )
    return value


CorrelationSites = Annotated[
    float | TableFile | tuple[tuple[float, ...], ...], BeforeValidator(_correlation)
]


class ErrorSection(Section):
    """Relative errors: `std` at a lead of `lead_h` hours, hourly correlation `phi`, `bias`."""

    std: NonNegative = 0.0
    """Relative standard deviation at a lead of `lead_h`."""
    lead_h: Positive = 24.0
    """Lead at which `std` is reached."""
    phi: Share = 0.95
    """Correlation of errors over one hour."""
    bias: Finite = 0.0
    """Relative bias."""

    def error_model(self, level: float) -> ErrorModel:
        """Error model at an error level."""
        return ErrorModel(self.std, self.lead_h, self.phi, self.bias).scaled(level)


class PriceErrorSection(Section):
    """Errors of prices in EUR/MWh, the same of import and export and of all tariffs."""

    std_eur_per_mwh: NonNegative = 0.0
    """Standard deviation at a lead of `lead_h`."""
    lead_h: Positive = 24.0
    """Lead at which it is reached."""
    phi: Share = 0.95
    """Correlation of errors over one hour."""
    bias_eur_per_mwh: Finite = 0.0
    """Bias."""

    def error_model(self, level: float) -> ErrorModel:
        """Error model at an error level."""
        std, bias = self.std_eur_per_mwh, self.bias_eur_per_mwh
        return ErrorModel(std, self.lead_h, self.phi, bias).scaled(level)


class TemperatureErrorSection(Section):
    """Errors of the outdoor temperature in K, the same at all grids."""

    std_k: Annotated[float, Field(ge=0.0, le=30.0)] = 0.0
    """Standard deviation at a lead of `lead_h`."""
    lead_h: Positive = 24.0
    """Lead at which it is reached."""
    phi: Share = 0.97
    """Correlation of errors over one hour."""
    bias_k: Annotated[float, Field(ge=-30.0, le=30.0)] = 0.0
    """Bias."""

    def error_model(self, level: float) -> ErrorModel:
        """Error model at an error level."""
        return ErrorModel(self.std_k, self.lead_h, self.phi, self.bias_k).scaled(level)


class ForecastQuantity(ErrorSection):
    """Forecast of loads or PV; `model` and `persistence` override those of the section."""

    model: Model | None = None
    """Model of this quantity; default: the section's."""
    persistence: Persistence | None = None
    """Kind of persistence; `last` for loads, `clear_sky` for PV."""


class ForecastPrice(PriceErrorSection):
    """Forecast of prices; `model` and `persistence` override those of the section."""

    model: Model | None = None
    """Model of prices; default: the section's."""
    persistence: Literal["day_before", "last"] | None = None
    """Kind of persistence."""


class ForecastSection(Section):
    """Forecasts of loads, PV and prices for controllers (docs/forecast.md).

    `level` multiplies the standard deviations and biases of all quantities. Forecasts are updated
    at the start of the run and every `update_min` minutes or at the clock times `update_at`; by
    default in every interval. `seed` defaults to the scenario's.
    """

    model: Model
    """Model of forecasts."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of the errors; default: the scenario's."""
    level: NonNegative = 1.0
    """Factor of all `std` and `bias`."""
    update_min: Annotated[int, Field(ge=1)] | None = None
    """Minutes between forecasts, a multiple of the interval; default: the interval."""
    update_at: Annotated[tuple[ClockTime, ...], Field(min_length=1)] | None = None
    """Local clock times of forecasts instead."""
    correlation_sites: CorrelationSites = 0.0
    """Correlation of the errors of grids: a number, a matrix, or its file."""
    file: TableFile | None = None
    """Forecasts of model `file`."""
    member: Annotated[int, Field(ge=0)] | None = None
    """Member of a file with a set of forecasts."""
    load: ForecastQuantity = ForecastQuantity()
    """Errors of loads."""
    pv: ForecastQuantity = ForecastQuantity()
    """Errors of PV."""
    price: ForecastPrice = ForecastPrice()
    """Errors of prices."""
    temperature: TemperatureErrorSection = TemperatureErrorSection()
    """Errors of the outdoor temperature."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if "file" in self.models.values() and self.file is None:
            raise ValueError("model 'file' needs file, a CSV or Parquet file of forecasts")
        if self.update_min is not None and self.update_at is not None:
            raise ValueError("one of update_min and update_at is accepted, not both")
        if self.load.persistence == "clear_sky":
            raise ValueError(
                "load.persistence: clear_sky is for pv only; day_before and last are accepted"
            )
        if self.pv.persistence == "last":
            raise ValueError(
                "pv.persistence: last would forecast PV at night; day_before and "
                "clear_sky are accepted"
            )
        return self

    @property
    def models(self) -> dict[str, Model]:
        """Model of each quantity."""
        return {q: getattr(self, q).model or self.model for q in QUANTITIES}

    @property
    def perfect(self) -> bool:
        """Return whether no quantity has errors."""
        outdoor = self.temperature_model
        return set(self.models.values()) == {"perfect"} and not (outdoor and outdoor.errs)

    @property
    def temperature_model(self) -> ErrorModel | None:
        """Errors of the temperature at the section's level; None for models without errors."""
        errs = self.model == "autoregressive"
        return self.temperature.error_model(self.level) if errs else None

    @property
    def error_models(self) -> dict[str, ErrorModel | None]:
        """Errors of each quantity at the section's level; None for models without errors."""
        return {
            q: getattr(self, q).error_model(self.level) if model == "autoregressive" else None
            for q, model in self.models.items()
        }


class _DeviationsSection(Section):
    """Deviations of the realised series from the profiles.

    `level` multiplies all standard deviations and biases; `seed` defaults to the scenario's.
    """

    seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of the deviations; default: the scenario's."""
    level: NonNegative = 1.0
    """Factor of all `std` and `bias`."""
    correlation_sites: CorrelationSites = 0.0
    """Correlation of the deviations of grids, as in `forecast`."""
    load: ErrorSection = ErrorSection()
    """Deviations of loads."""
    pv: ErrorSection = ErrorSection()
    """Deviations of PV."""
    price: PriceErrorSection = PriceErrorSection()
    """Deviations of prices."""
    temperature: TemperatureErrorSection = TemperatureErrorSection()
    """Deviations of the outdoor temperature."""

    @property
    def error_models(self) -> dict[str, ErrorModel | None]:
        """Errors of each quantity at the section's level."""
        return {q: getattr(self, q).error_model(self.level) for q in QUANTITIES}

    @property
    def temperature_model(self) -> ErrorModel:
        """Errors of the temperature at the section's level."""
        return self.temperature.error_model(self.level)


if TYPE_CHECKING:
    DeviationsSection = _DeviationsSection
else:  # the kinds of devices bring their own deviations
    DeviationsSection = create_model(
        "DeviationsSection",
        __base__=_DeviationsSection,
        __doc__=_DeviationsSection.__doc__,
        **{key: field for kind in kinds() for key, field in kind.deviations.items()},
    )


def check_updates(section: ForecastSection, interval_min: int) -> None:
    """Refuse updates within intervals; raises ValueError."""
    if section.update_min is not None and section.update_min % interval_min:
        raise ValueError(
            f"update_min = {section.update_min} is not a multiple of time.interval_min = "
            f"{interval_min}"
        )
