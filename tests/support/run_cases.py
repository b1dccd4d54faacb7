"""Run directories with known values, written part by part as a run writes them."""

import json

import numpy as np
import pandas as pd
import tomli_w

from stackelgrid.controllers.networks.elements import ELEMENT_COLUMNS
from stackelgrid.simulators.results.tables import SCHEMAS, TableWriter

BATTERY_EVERY = 5  # every so many buses there is a battery, a PV system and a load
START = "2025-06-20"
PLAN_H = (0.25, 0.25, 1.0, 1.0)  # lengths of the steps of a plan, where a run has plans
HORIZON = {
    "mode": "rolling",
    "steps": [{"count": 2, "minutes": 15}, {"count": 2, "minutes": 60}],
    "resolve_every": 1,
}


def unlisted(directory):
    """Take the manifest of a run away, as version 0.1 wrote none; a test may then edit its files.

    Returns the directory.
    """
    (directory / "manifest.jsonl").unlink()
    path = directory / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    del summary["manifest"]
    path.write_text(json.dumps(summary), encoding="utf-8")
    return directory


class RecordedRun:
    """A run of some grids in lines of buses; values follow from interval, grid and bus.

    `grids` maps a name to (level, parent, bus there, number of buses). Voltages fall along the line
    and with the interval, the last grid is infeasible in interval 2. `changes` maps (table, grid,
    interval) to values of columns, `copies` a grid to its multiplicity, `ratings` (grid, line) to
    its max_loading_percent. With a `horizon` (a section of a scenario) there are plans of PLAN_H.
    """

    def __init__(
        self, directory, grids, intervals, *, network=True, negotiated=False, changes=(), copies=(),
        ratings=(), start=START, horizon=None, lower_pu=0.0,
    ):  # fmt: skip
        self.directory, self.grids, self.intervals = directory, grids, intervals
        self.negotiated, self.horizon, self.lower_pu = negotiated, horizon, lower_pu
        self.changes, self.copies, self.ratings = dict(changes), dict(copies), dict(ratings)
        self.start, self.done = start, 0
        directory.mkdir()
        self._writer = TableWriter(directory)
        times = pd.date_range(start, periods=intervals, freq="15min", tz="Europe/Berlin")
        self.times = times.tz_convert("UTC")
        (directory / "scenario.toml").write_text(tomli_w.dumps(self._scenario()), encoding="utf-8")
        if network:
            self._network().to_parquet(directory / "network.parquet")
        self.write_summary("running")

    def vm_pu(self, interval, grid, bus):
        """Voltage of a bus."""
        top = 1.02 - self.lower_pu
        return top - 0.04 * bus / self.grids[grid][3] - 0.02 * interval / self.intervals

    def loading_percent(self, interval, grid, line):
        """Loading of a line from bus `line` to the next."""
        return 40.0 * (1.0 - line / self.grids[grid][3]) * (interval + 1) / self.intervals

    def planned_mw(self, interval, step):
        """Planned import of a grid, made in an interval; batteries charge a hundredth of it."""
        return 0.1 * (interval + 1) + 0.01 * step

    def soc_percent(self, interval, bus):
        """State of charge of the battery at a bus."""
        return 20.0 + bus % 50 + 10.0 * interval / self.intervals

    def index_of(self, grid, bus):
        """Index of the battery (and the PV system) at a bus; they are numbered over all grids."""
        return self._places().index((grid, bus))

    def _places(self):
        return [
            (g, b)
            for g, (*_, n) in self.grids.items()
            for b in range(BATTERY_EVERY, n, BATTERY_EVERY)
        ]

    def record(self, count=1, summary=True):
        """Write parts of the next intervals, and a summary."""
        for interval in range(self.done, self.done + count):
            for table, columns in self._tables(interval).items():
                if columns:
                    self._write(table, interval, columns)
        self.done += count
        if summary:
            self.write_summary("running")
        return self

    def finish(self, status="done"):
        """Merge the parts where the run is done, and say how it ended."""
        if status == "done":
            self._writer.merge()
        self.write_summary(status)
        return self

    def go_back(self, interval):
        """Do what a resumed run does: remove what came after its state."""
        self._writer.remove_from(interval)
        self.done = interval
        self.write_summary("running")

    def write_summary(self, status, **own):
        """Replace summary.json at once."""
        content = {
            "scenario": "recorded",
            "seed": 1,
            "version": "0",
            "status": status,
            "intervals_planned": self.intervals,
            "intervals_done": self.done,
            "wall_s": 10.0 + 2.0 * self.done,
            "timings": {"build_s": 10.0},
            "solver": {"version": "clarabel 0", "fallback_reason": ""},
            **own,
        }
        unfinished = self.directory / "summary.json.tmp"
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        unfinished.rename(self.directory / "summary.json")

    def log(self, **event):
        """Append to the log."""
        with (self.directory / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def baseline(self, count):
        """Write that many intervals of the run without control, whose voltages are 0.01 lower."""
        case = RecordedRun(
            self.directory / "baseline", self.grids, self.intervals, start=self.start, lower_pu=0.01
        )
        return case.record(count)

    def _scenario(self):
        grids = []
        for name, (level, parent, bus, _) in self.grids.items():
            section = {"name": name, "level": level, "multiplicity": self.copies.get(name, 1)}
            grids.append(section | ({"parent": parent, "bus": bus} if parent else {}))
        return {
            "name": "recorded",
            "coordination": "ldd_admm" if self.negotiated else "central",
            "time": {
                "start": self.start,
                "timezone": "Europe/Berlin",
                "intervals": self.intervals,
                "interval_min": 15,
            },
            "grids": grids,
            **({"horizon": self.horizon} if self.horizon else {}),
        }

    def _network(self):
        rows = []
        for name, (level, _, _, count) in self.grids.items():
            for bus in range(count):
                rows.append(
                    {
                        "grid": name,
                        "level": level,
                        "element": "bus",
                        "index": bus,
                        "bus": bus,
                        "to_bus": -1,
                        "x": float(bus % 10),
                        "y": float(bus // 10),
                        "vn_kv": 0.4,
                        "min_vm_pu": 0.95,
                        "max_vm_pu": 1.05,
                    }
                )
            for line in range(count - 1):
                rows.append(
                    {
                        "grid": name,
                        "level": level,
                        "element": "line",
                        "index": line,
                        "bus": line,
                        "to_bus": line + 1,
                        "max_i_ka": 0.2,
                        "max_loading_percent": self.ratings.get((name, line), 100.0),
                    }
                )
            rows.append(
                {
                    "grid": name,
                    "level": level,
                    "element": "ext_grid",
                    "index": 0,
                    "bus": 0,
                    "to_bus": -1,
                }
            )
        frame = pd.DataFrame(rows).reindex(columns=["grid", "level", *ELEMENT_COLUMNS])
        frame["name"] = frame["name"].fillna("").astype(str)
        return frame

    def _tables(self, k):
        buses = [(g, b) for g, (*_, n) in self.grids.items() for b in range(n)]
        lines = [(g, b) for g, (*_, n) in self.grids.items() for b in range(n - 1)]
        at = self._places()
        names = list(self.grids)
        lower = [g for g in names if self.grids[g][1]]
        last = names[-1]
        tables = {
            "bus": {
                "grid": [g for g, _ in buses],
                "bus": [b for _, b in buses],
                "vm_pu": [self.vm_pu(k, g, b) for g, b in buses],
                "vm_planned_pu": [self.vm_pu(k, g, b) + 1e-5 for g, b in buses],
                "p_mw": [1e-3] * len(buses),
            },
            "branch": {
                "grid": [g for g, _ in lines],
                "index": [b for _, b in lines],
                "element": ["line"] * len(lines),
                "p_from_mw": [2e-3] * len(lines),
                "loading_percent": [self.loading_percent(k, g, b) for g, b in lines],
            },
            "device": {
                "grid": [g for g, _ in at] * 2,
                "bus": [b for _, b in at] * 2,
                "element": ["storage"] * len(at) + ["sgen"] * len(at),
                "index": [*range(len(at))] * 2,
                "name": [f"{w} {b}" for w in ("battery", "pv") for _, b in at],
                "kind": ["battery"] * len(at) + ["pv"] * len(at),
                "p_mw": [1e-3 * (k + 1)] * (2 * len(at)),
                "soc_percent": [self.soc_percent(k, b) for _, b in at] + [np.nan] * len(at),
            },
            "interval": {
                "grid": names,
                "level": [self.grids[g][0] for g in names],
                "solver": ["misocp"] * len(names),
                "status": ["optimal"] * len(names),
                "verdict": ["infeasible" if g == last and k == 2 else "exact" for g in names],
                "worst": ["line 3" if g == last and k == 2 else "" for g in names],
                "violation_pu": [0.0123 if g == last and k == 2 else 0.0 for g in names],
                "voltage_error_pu": [1e-9] * len(names),
                "loss_error_mw": [1e-3] * len(names),
                "realised_violation_pu": [0.0] * len(names),
                "gap": [1e-8] * len(names),
                "fictitious_loss_share": [1e-10] * len(names),
                "p_import_mw": [0.1 * (k + 1)] * len(names),
                "load_p_mw": [0.2] * len(names),
                "min_vm_pu": [self.vm_pu(k, g, self.grids[g][3] - 1) for g in names],
                "max_vm_pu": [self.vm_pu(k, g, 0) for g in names],
            },
            "boundary": {
                "grid": lower,
                "parent": [self.grids[g][1] for g in lower],
                "parent_bus": [self.grids[g][2] for g in lower],
                "import_eur_per_mwh": [200.0] * len(lower),
                "export_eur_per_mwh": [70.0] * len(lower),
            },
            "trade": {
                "grid": [last, last],
                "bus": [5, 10],
                "market": ["inside", "inside"],
                "side": ["buy", "sell"],
                "p_mw": [1e-3 * (k + 1)] * 2,
                "price_eur_per_mwh": [135.0] * 2,
            },
            "stage": {"grid": [names[0]], "scheme": ["bottom_up"], "pricing": ["tariff"]},
        }
        if self.horizon and k % self.horizon.get("resolve_every", 1) == 0:
            tables["schedule"] = self._schedule(k, lower)
        if self.negotiated:
            held = names[1:]
            tables["round"] = {"grid": [names[0]] * 2, "round": [1, 2], "open_share": [0.1, 0.01]}
            tables["negotiation"] = {
                "grid": [names[0]],
                "committed": [str(k)],
                "members": [len(held)],
                "confirmed": [len(held)],
                "sent": [40],
                "lost": [3],
            }
            tables["commitment"] = {
                "grid": held,
                "follower": [names[0]] * len(held),
                "on_new": [g != last for g in held],
            }
        return tables

    def _schedule(self, k, lower):
        planned = [(g, "boundary", 0, 1.0) for g in lower]
        planned += [(g, "storage", n, 0.01) for n, (g, _) in enumerate(self._places())]
        steps = range(len(PLAN_H))
        rows = [(*own, step) for own in planned for step in steps]
        return {
            "grid": [g for g, *_ in rows],
            "element": [e for _, e, *_ in rows],
            "index": [n for _, _, n, *_ in rows],
            "step": [step for *_, step in rows],
            "dt_h": [PLAN_H[step] for *_, step in rows],
            "p_mw": [share * self.planned_mw(k, step) for *_, share, step in rows],
            "e_mwh": [1e-3 * step if e == "storage" else np.nan for _, e, _, _, step in rows],
        }

    def _write(self, table, interval, given):
        count = len(given["grid"])
        columns = {"interval": [interval] * count, "time": [self.times[interval]] * count, **given}
        for field in SCHEMAS[table]:
            if field.name not in columns:
                kind = str(field.type)
                empty = {"string": "", "int32": 0, "bool": False}.get(kind, np.nan)
                columns[field.name] = [empty] * count
        for (changed, grid, at), values in self.changes.items():
            if (changed, at) == (table, interval):
                for name, value in values.items():
                    column = zip(columns["grid"], columns[name], strict=True)
                    columns[name] = [value if g == grid else v for g, v in column]
        self._writer.write_part(table, interval, columns)


SMALL = {"tn": ("transmission", None, None, 12), "lv1": ("lv", "tn", 3, 20)}
NESTED = {
    "tn": ("transmission", None, None, 12),
    "lv1": ("lv", "mv1", 3, 10),
    "lv2": ("lv", "mv1", 5, 14),
    "mv1": ("mv", "tn", 3, 12),
    "mv2": ("mv", "tn", 5, 12),
}
# as many buses as the shipped day
DAY = {
    "tn": ("transmission", None, None, 30),
    **{f"mv{k}": ("mv", "tn", k, 34) for k in range(1, 6)},
    **{f"lv{k}": ("lv", "mv1", k, 207) for k in range(1, 7)},
}
