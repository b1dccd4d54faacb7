"""Write the parts of pages that are declared elsewhere: `make schema`.

Columns are declared in the `*_tables` modules of stackelgrid.simulators.results and in
stackelgrid.analysis.study_columns, keys in the sections of a scenario, quantities in the kinds of
devices (keys.py), equations in docs/formulation.md, the opening of the site in README.md. A page
holds `<!-- columns: NAME -->` and `<!-- end of columns -->` around a table that this script
rewrites, and the same for `keys`, `quantities`, `equations` and `opening`.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from keys import keys_table, quantities_table
from pydantic import BaseModel

from stackelgrid.analysis.study_columns import COMPARE_TABLES, ENSEMBLE_TABLES, SWEEP_TABLES
from stackelgrid.controllers.devices.externals.section import ExternalForecast, PowerAttribute
from stackelgrid.controllers.devices.loads import Diversity
from stackelgrid.controllers.devices.placement import Placement
from stackelgrid.controllers.devices.registry import SHIPPED
from stackelgrid.scenarios.schema.boundary import BoundarySection, Rating
from stackelgrid.scenarios.schema.communication import (
    CommunicationSection,
    OutageSection,
    QualitySection,
)
from stackelgrid.scenarios.schema.forecast import (
    DeviationsSection,
    ForecastPrice,
    ForecastQuantity,
    ForecastSection,
    TemperatureErrorSection,
)
from stackelgrid.scenarios.schema.horizon import HorizonSection, HorizonStep
from stackelgrid.scenarios.schema.prices import Costs, TariffPeriod, TariffSection, TradeSection
from stackelgrid.scenarios.schema.scenario import (
    CertificateSection,
    GridSection,
    Scenario,
    SolverSection,
    TolerancesSection,
)
from stackelgrid.scenarios.schema.simulators import (
    EntitiesSection,
    InputSection,
    SimulatorSection,
)
from stackelgrid.scenarios.schema.site import (
    EmissionsSection,
    SiteSection,
    TemperatureSection,
    Weather,
)
from stackelgrid.scenarios.schema.time import Time
from stackelgrid.simulators.results.columns import KEY, Column, Table
from stackelgrid.simulators.results.grid_tables import NETWORK
from stackelgrid.simulators.results.tables import TABLES

DOCS = Path(__file__).resolve().parents[1]
PAGES = {
    "results.md": (*TABLES.values(), NETWORK, *COMPARE_TABLES),
    "exactness.md": SWEEP_TABLES,
    "ensemble.md": ENSEMBLE_TABLES,
}
# sections by page, beside those of the kinds of devices
SECTIONS: dict[str, dict[str, type[BaseModel]]] = {
    "scenario.md": {
        "scenario": Scenario,
        "time": Time,
        "horizon": HorizonSection,
        "step": HorizonStep,
        "site": SiteSection,
        "weather": Weather,
        "weather.temperature": TemperatureSection,
        "solver": SolverSection,
        "tolerances": TolerancesSection,
        "certificate": CertificateSection,
        "forecast": ForecastSection,
        "forecast.load": ForecastQuantity,
        "forecast.price": ForecastPrice,
        "forecast.temperature": TemperatureErrorSection,
        "deviations": DeviationsSection.__mro__[1],
        "communication": CommunicationSection,
        "qualities": QualitySection,
        "outages": OutageSection,
    },
    "components/load.md": {"diversity": Diversity},
    "components/index.md": {"placement": Placement},
    "components/networks.md": {
        "grid": GridSection.__mro__[1],
        "ratings": Rating,
        "boundary": BoundarySection,
    },
    "components/prices.md": {
        "tariff": TariffSection,
        "period": TariffPeriod,
        "costs": Costs,
        "emissions": EmissionsSection,
    },
    "components/trade.md": {"trade": TradeSection},
    "components/external.md": {
        "simulators": SimulatorSection,
        "simulators.entities": EntitiesSection,
        "simulators.entities.p": PowerAttribute,
        "simulators.entities.forecast": ExternalForecast,
        "simulators.entities.inputs": InputSection,
    },
}

# sections of formulation.md that pages of components repeat
EQUATIONS = {
    "pv.md": "Photovoltaics",
    "battery.md": "Batteries",
    "unit.md": "Units",
    "vehicle.md": "Electric vehicles",
    "heat_pump.md": "Heat pumps",
    "task.md": "Shiftable loads",
    "sheddable.md": "Sheddable loads",
    "cap.md": "Power caps",
    "external.md": "Users' simulators",
    "trade.md": "Peer-to-peer trade",
    "prices.md": "Boundary and the leaders' objective",
}


def blocks() -> dict[str, dict[str, str]]:
    """Return the generated tables of each page by their marker."""
    pages = {
        page: {f"columns: {table.name}": rendered(table) for table in tables}
        for page, tables in PAGES.items()
    }
    for page, sections in SECTIONS.items():
        pages[page] = {f"keys: {k}": keys_table(s) for k, s in sections.items()}
    for kind in SHIPPED:
        own = pages.setdefault(f"components/{kind.kind}.md", {})
        own[f"quantities: {kind.kind}"] = quantities_table(kind)
        for key in kind.sections:
            own[f"keys: {key}"] = keys_table(section_of(kind.sections[key][0]))
        for key in kind.deviations:
            own[f"keys: deviations.{key}"] = keys_table(section_of(kind.deviations[key][0]))
    formulation = (DOCS / "formulation.md").read_text(encoding="utf-8")
    for page, heading in EQUATIONS.items():
        own = pages.setdefault(f"components/{page}", {})
        own[f"equations: {heading}"] = part_of(formulation, heading)
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    opening = readme.partition("\n## ")[0].partition("\n")[2]
    pages["index.md"] = {"opening: README": opening.replace("](docs/", "](")}
    return pages


def part_of(page: str, heading: str) -> str:
    """Return the text below a heading of second order, up to the next heading."""
    part = page.partition(f"\n## {heading}\n")[2]
    if not part:
        raise ValueError(f"formulation.md: has no section {heading!r}")
    return re.split(r"^#", part, maxsplit=1, flags=re.MULTILINE)[0].rstrip() + "\n"


def section_of(annotation: Any) -> type[BaseModel]:
    """Return the class of a section, also of a list of them or of one that may be left out."""
    found = next(p for p in (annotation, *get_args(annotation)) if isinstance(p, type))
    return found


def rendered(table: Table) -> str:
    """Markdown of a table: what a row is, then one line a column; the common key is left out."""
    lines = [table.row, "", "| column | unit | meaning |", "|---|---|---|"]
    for group in table.groups:
        if group.title:
            text = f", {_cell(group.text)}" if group.text else ""
            lines.append(f"| **{group.title}**{text} | | |")
        lines += [_line(column) for column in group.columns if column not in KEY]
    return "\n".join(lines)


def generated(page: str, texts: Mapping[str, str]) -> str:
    """Return a page with the generated tables between their markers."""
    for marker, text in texts.items():
        begin, end = f"<!-- {marker} -->", f"<!-- end of {marker.partition(':')[0]} -->"
        pattern = re.compile(re.escape(begin) + r"\n.*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(page)) != 1:
            raise ValueError(f"{begin} ... {end}: one such pair is accepted")
        page = pattern.sub(lambda _, b=begin, t=text, e=end: f"{b}\n{t}\n{e}", page)
    return page


def _line(column: Column) -> str:
    return f"| `{column.name}` | {column.unit} | {_cell(column.text)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Rewrite the pages; with --check only say which are not as generated."""
    check, old = "--check" in sys.argv[1:], []
    for name, texts in blocks().items():
        path = DOCS / name
        before = path.read_text(encoding="utf-8")
        after = generated(before, texts)
        if after != before:
            old.append(name)
            if not check:
                path.write_text(after, encoding="utf-8")
    for name in old:
        print(f"docs/{name}: {'is not as generated; run make schema' if check else 'written'}")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
