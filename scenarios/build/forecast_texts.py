"""One-line descriptions of a scenario's forecasts and deviations."""

from collections.abc import Iterator

from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.profiles.forecast_errors import ErrorModel
from stackelgrid.profiles.forecast_table import QUANTITIES
from stackelgrid.scenarios.schema.forecast import (
    DeviationsSection,
    ErrorSection,
    ForecastSection,
    PriceErrorSection,
)
from stackelgrid.scenarios.schema.scenario import Scenario


def forecast_lines(scenario: Scenario) -> Iterator[str]:
    """Yield a line for the section forecast and one for deviations, where the scenario has them."""
    section, deviations = scenario.forecast, scenario.deviations
    if section is not None:
        quantities = [
            f"{name} {_quantity(section, name, model)}" for name, model in section.models.items()
        ]
        quantities += _temperature(section.temperature_model)
        yield f"forecast: {section.model}, {_updates(section, scenario)}; {'; '.join(quantities)}"
    if deviations is not None:
        parts = [
            f"{name} {_errors(getattr(deviations, name), deviations.level)}" for name in QUANTITIES
        ]
        parts += [*_temperature(deviations.temperature_model), *_of_kinds(deviations)]
        yield f"deviations: realised series deviate from the profiles; {'; '.join(parts)}"


def _quantity(section: ForecastSection, name: str, model: str) -> str:
    if model == "autoregressive":
        return _errors(getattr(section, name), section.level)
    if model == "file":
        member = "" if section.member is None else f", member {section.member}"
        return f"from {section.file}{member}"
    return model


def _errors(section: ErrorSection | PriceErrorSection, level: float) -> str:
    percent = isinstance(section, ErrorSection)
    return _in_words(section.error_model(level), *((100.0, "%") if percent else (1.0, "EUR/MWh")))


def _temperature(model: ErrorModel | None) -> list[str]:
    """Return the errors of the outdoor temperature, if there are any."""
    return [f"temperature {_in_words(model, 1.0, 'K')}"] if model is not None and model.errs else []


def _of_kinds(deviations: DeviationsSection) -> Iterator[str]:
    """Yield the deviations that kinds of devices bring, where there are any."""
    for key in (key for kind in kinds() for key in kind.deviations):
        values = [f"{k} {v:g}" for k, v in getattr(deviations, key).model_dump().items() if v]
        if values and deviations.level:
            factor = "" if deviations.level == 1.0 else f" (times {deviations.level:g})"
            yield f"{key} {', '.join(values)}{factor}"


def _in_words(model: ErrorModel, scale: float, unit: str) -> str:
    if not model.errs:
        return "without error"
    bias = f", bias {scale * model.bias:+g} {unit}" if model.bias else ""
    return f"{scale * model.std:g} {unit} at {model.lead_h:g} h (phi {model.phi:g}){bias}"


def _updates(section: ForecastSection, scenario: Scenario) -> str:
    if section.update_at is not None:
        return f"renewed at {', '.join(section.update_at)}"
    return f"renewed every {section.update_min or scenario.time.interval_min} min"
