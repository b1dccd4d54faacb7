"""One-line descriptions of a scenario's forecasts and deviations."""

from collections.abc import Iterator

from stackelgrid.profiles.forecast_table import QUANTITIES
from stackelgrid.scenarios.schema.forecast import ErrorSection, ForecastSection, PriceErrorSection
from stackelgrid.scenarios.schema.scenario import Scenario


def forecast_lines(scenario: Scenario) -> Iterator[str]:
    """Yield a line for the section forecast and one for deviations, where the scenario has them."""
    section, deviations = scenario.forecast, scenario.deviations
    if section is not None:
        quantities = (
            f"{name} {_quantity(section, name, model)}" for name, model in section.models.items()
        )
        yield f"forecast: {section.model}, {_updates(section, scenario)}; {'; '.join(quantities)}"
    if deviations is not None:
        parts = (
            f"{name} {_errors(getattr(deviations, name), deviations.level)}" for name in QUANTITIES
        )
        yield f"deviations: realised series deviate from the profiles; {'; '.join(parts)}"


def _quantity(section: ForecastSection, name: str, model: str) -> str:
    if model == "autoregressive":
        return _errors(getattr(section, name), section.level)
    if model == "file":
        member = "" if section.member is None else f", member {section.member}"
        return f"from {section.file}{member}"
    return model


def _errors(section: ErrorSection | PriceErrorSection, level: float) -> str:
    model = section.error_model(level)
    percent = isinstance(section, ErrorSection)
    if not model.errs:
        return "without error"
    scale, unit = (100.0, "%") if percent else (1.0, "EUR/MWh")
    bias = f", bias {scale * model.bias:+g} {unit}" if model.bias else ""
    return f"{scale * model.std:g} {unit} at {model.lead_h:g} h (phi {model.phi:g}){bias}"


def _updates(section: ForecastSection, scenario: Scenario) -> str:
    if section.update_at is not None:
        return f"renewed at {', '.join(section.update_at)}"
    return f"renewed every {section.update_min or scenario.time.interval_min} min"
