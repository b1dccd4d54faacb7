"""Uncontrolled consumers, and all elements that no other kind of device claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.terms import Arrays
from stackelgrid.controllers.networks.naming import listed
from stackelgrid.profiles.arrays import Bools, Floats, Ints
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.section import NonNegative, Positive, Section, Shares, TableFile

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.controllers.devices.placement import Placed, SeriesMaker
    from stackelgrid.profiles.forecast import GridForecast
    from stackelgrid.profiles.sources import LoadPowers

_ROLES = Role.SERIES | Role.OUTPUT


class Diversity(Section):
    """Variation of customers around a standard profile; see profiles/loads.py."""

    level_sigma: NonNegative = 0.35
    """Standard deviation of the customers' yearly energy, relative."""
    shift_min_sigma: NonNegative = 45.0
    """Standard deviation of their shift in time, minutes."""
    noise_sigma: NonNegative = 0.25
    """Standard deviation of their fluctuation, relative."""
    noise_correlation_h: Positive = 1.0
    """Correlation time of the fluctuation."""


class LoadsSection(Section):
    """Profiles of the uncontrolled loads.

    `mix` blends standard profiles into one shape for all loads, `assign` gives each load one of
    them by share, `file` holds a column for each load (docs/howto/profiles.md). Without any of them
    the loads have the profiles that came with the net. `equal` shares the grid's total nominal
    power equally; `scale` multiplies it.
    """

    mix: Shares | None = None
    """Standard profiles blended into one shape for all loads, with weights."""
    assign: Shares | None = None
    """Standard profiles of which each load gets one, with shares."""
    file: TableFile | None = None
    """Profiles, one column for each load."""
    diversity: Diversity = Diversity()
    """Variation of the customers, see below."""
    equal: bool = False
    """Share the nominal power of the grid equally among its loads."""
    scale: Positive = 1.0
    """Factor of the nominal powers of the net."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.sources > 1:
            raise ValueError("one of mix, assign and file is accepted")
        return self

    @property
    def sources(self) -> int:
        """Number of stated sources of profiles."""
        return sum(v is not None for v in (self.mix, self.assign, self.file))


class NetSgenSection(Section):
    """Profiles of the static generators of a net that are neither PV nor dispatched."""

    file: TableFile
    """Profiles, one column for each of them (wind, hydro, CHP, ...)."""


@dataclass(frozen=True)
class Loads(DeviceKind):
    """Uncontrolled consumers; p_mw, q_mvar are nominal values that a profile multiplies.

    Static generators that are neither photovoltaic nor dispatchable (a negative power) and storages
    that are not controllable are listed here; `profiled` is False for them: their power is known,
    constant unless a profile of the net or of a file multiplies it. Their demand enters a model
    with the exchange of the grids below, so the kind has no equations of its own.
    """

    table: tuple[str, ...]
    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_mw: Floats
    q_mvar: Floats
    profiled: Bools
    phase: tuple[str, ...]
    ward: Bools
    """Static generators that stand for wards: no file of `net_sgen` has a column for them."""

    kind: ClassVar[str] = "load"
    plural: ClassVar[str] = "loads"
    label: ClassVar[str] = "loads"
    sweep: ClassVar[str] = "load scale"
    colour: ClassVar[str] = "#000000"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("load_p_mw", "MW", _ROLES, "active power, positive when consuming",
                 column="p_mw", total="own uncontrolled loads less fixed generators"),
        Quantity("load_q_mvar", "MVAr", _ROLES, "reactive power, positive when consuming",
                 column="q_mvar", total="the same, reactive"),
    )  # fmt: skip
    transmission: ClassVar[bool] = True
    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "loads": (LoadsSection, LoadsSection()),
        "net_sgen": (NetSgenSection | None, None),
    }

    @property
    def uncertain(self) -> Bools:
        return self.profiled

    def scaled(self, factor: float) -> Self:
        return self

    def scaled_series(self, series: Arrays, factor: float) -> dict[str, Floats]:
        scale = np.where(self.profiled, factor, 1.0)
        return {name: scale * series[name] for name in self.names(Role.SERIES)}

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read all loads, and static generators and storages of constant power."""
        parts = [(t, elements.unclaimed(t), s)
                 for t, s in (("load", 1.0), ("sgen", -1.0), ("storage", 1.0))]  # fmt: skip
        fixed, scaling = parts[1][1], elements.scaling
        for i, power in zip(fixed.index, fixed.p_mw * scaling(fixed), strict=True):
            elements.costs.count("sgen", int(i), float(power))
        return cls(
            table=tuple(table for table, frame, _ in parts for _ in range(len(frame))),
            index=tuple(i for _, frame, _ in parts for i in elements.index(frame)),
            name=tuple(n for table, frame, _ in parts for n in elements.names(frame, table)),
            bus=np.concatenate([frame.bus for _, frame, _ in parts]).astype(np.int64),
            p_mw=np.concatenate([sign * f.p_mw * scaling(f) for _, f, sign in parts]),
            q_mvar=np.concatenate([sign * f.q_mvar * scaling(f) for _, f, sign in parts]),
            profiled=np.array(
                [table == "load" for table, frame, _ in parts for _ in range(len(frame))],
                dtype=bool,
            ),
            phase=tuple(p for table, frame, _ in parts for p in elements.phases(frame, table)),
            ward=np.concatenate([_is_ward(frame) for _, frame, _ in parts]),
        )

    @classmethod
    def buses(cls, net: Any) -> list[int]:
        return [int(bus) for bus in net.load.bus]

    def series(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> dict[str, Floats]:
        """Return the nominal powers times a profile; constant powers have none."""
        section: LoadsSection = maker.sections("loads")
        shape = (maker.axis.length, len(self.index))
        active, reactive = np.ones(shape), np.ones(shape)
        # powers of a file in MW and MVAr in place of factors
        given_mw, given_mvar = np.full(shape, np.nan), np.full(shape, np.nan)
        at = np.flatnonzero(self.profiled)
        if section.file is not None and len(at):
            powers = self._from_file(maker, section, at)
            reactive[:, at] = active[:, at] = powers.factors
            given_mw[:, at] = section.scale * powers.p_mw
            given_mvar[:, at] = section.scale * powers.q_mvar
        elif section.sources and len(at):
            reactive[:, at] = active[:, at] = _factors(maker, section, len(at))
        elif len(at):
            active[:, at], reactive[:, at] = self._of_net(maker, at)
        for table in ("sgen", "storage"):
            rest = np.flatnonzero(np.array(self.table, dtype=object) == table)
            if len(rest):
                active[:, rest], reactive[:, rest] = self._of_rest(maker, table, rest)
        return {
            "load_p_mw": np.where(np.isnan(given_mw), active * self.p_mw, given_mw),
            "load_q_mvar": np.where(np.isnan(given_mvar), reactive * self.q_mvar, given_mvar),
        }

    def _from_file(self, maker: "SeriesMaker", section: LoadsSection, at: Ints) -> "LoadPowers":
        """Return the powers of a file, before they are scaled."""
        from stackelgrid.profiles.sources import read_loads

        assert section.file is not None
        names = [self.name[i] for i in at]
        p_mw, q_mvar = self.p_mw[at] / section.scale, self.q_mvar[at] / section.scale

        def read(path: Path, zone: str) -> "LoadPowers":
            return read_loads(path, maker.axis, names, p_mw, q_mvar, zone)

        return maker.from_file("loads", section.file, read)

    def _of_net(self, maker: "SeriesMaker", at: Ints) -> tuple[Floats, Floats]:
        """Return the factors of loads that came with the net; raises ProfileError for others."""
        index = [self.index[i] for i in at]
        active, reactive = maker.of_net("load", index)
        without = [i for i, bare in zip(index, np.isnan(active[0]), strict=True) if bare]
        if without:
            raise ProfileError(
                f"{maker.where('loads')}: load {listed(without)} has no profile in the net; mix, "
                "assign or file is needed"
            )
        return active, reactive

    def _of_rest(self, maker: "SeriesMaker", table: str, at: Ints) -> tuple[Floats, Floats]:
        """Return the factors of generators or storages, 1 for those without a profile."""
        section: NetSgenSection | None = maker.sections("net_sgen")
        if table == "sgen" and section is not None:
            factors = np.ones((maker.axis.length, len(at)))
            free = ~self.ward[at]
            names, nominal = [self.name[i] for i in at[free]], -self.p_mw[at[free]]
            factors[:, free] = maker.factors("net_sgen", section.file, names, nominal)
            return factors, factors
        active, reactive = maker.of_net(table, [self.index[i] for i in at])
        return (
            np.where(np.isnan(active), 1.0, active),
            np.where(np.isnan(reactive), 1.0, reactive),
        )

    def consumption(self, values: Arrays) -> tuple[Floats, Floats]:
        return values["load_p_mw"], values["load_q_mvar"]

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Return nothing: loads are not decided."""
        return {}

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        return {"load_p_mw": series["load_p_mw"], "load_q_mvar": series["load_q_mvar"]}

    def device_columns(self, outputs: Arrays) -> dict[str, Any]:
        sign = np.where(np.array(self.table, dtype=object) == "sgen", -1.0, 1.0)
        return {name: sign * power for name, power in super().device_columns(outputs).items()}


def _is_ward(frame: pd.DataFrame) -> Bools:
    """Return which rows of a table are wards that became static generators."""
    return np.asarray(frame["type"].isin(("ward", "xward")), dtype=bool)


def _factors(maker: "SeriesMaker", section: LoadsSection, loads: int) -> Floats:
    """Return factors (n, loads) of the nominal power from standard profiles."""
    from stackelgrid.profiles.loads import LoadDiversity, diverse_loads, standard_load

    d = section.diversity
    diversity = LoadDiversity(
        d.level_sigma, d.shift_min_sigma, d.noise_sigma, d.noise_correlation_h
    )
    padded = diversity.padded(maker.axis)

    def standard(kind: str) -> Floats:
        try:
            return standard_load(kind, padded, maker.site.holidays)  # type: ignore[arg-type]
        except ProfileError as error:
            raise ProfileError(f"{maker.where('loads')}: {error}") from error

    def diverse(base: Floats, count: int, consumer: str) -> Floats:
        rng = maker.generator("loads", consumer)
        noise = maker.variation("loads", consumer)
        return diverse_loads(base, maker.axis, count, diversity, rng, noise)

    if section.mix is not None:
        shares = _shares(section.mix).items()
        base = sum(share * standard(kind) for kind, share in shares)
        return diverse(np.asarray(base), loads, "mix")
    assert section.assign is not None
    assigned = _shares(section.assign)
    rng = maker.generator("loads", "assign")
    drawn = rng.choice(len(assigned), size=loads, p=list(assigned.values()))
    factors = np.empty((maker.axis.length, loads))
    for k, kind in enumerate(assigned):
        members = np.flatnonzero(drawn == k)
        if len(members):
            factors[:, members] = diverse(standard(kind), len(members), kind)
    return factors


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {kind: weight / total for kind, weight in weights.items()}
