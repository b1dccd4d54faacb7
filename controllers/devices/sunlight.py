"""Sections, placement and available power of PV systems (photovoltaics.py)."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from stackelgrid.controllers.devices.placement import Phase, Placed, Placement
from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.section import Positive, Section, Share, TableFile

if TYPE_CHECKING:
    import pandas as pd

    from stackelgrid.controllers.devices.placement import Placing, SeriesMaker
    from stackelgrid.profiles.photovoltaics import CloudModel

# words of an sgen's type that stand for photovoltaics, in any case, beside any other words
_SOLAR = {"pv", "solar", "photovoltaic", "photovoltaics", "photovoltaik"}


class PvPlane(Section):
    """Orientation of PV systems, or a `file` with one column for each system.

    `azimuth_degree` is clockwise from north; without it systems face the equator.
    """

    tilt_degree: Annotated[float, Field(ge=0.0, le=90.0)] = 30.0
    """Tilt of the modules, 0 for horizontal."""
    azimuth_degree: Annotated[float, Field(ge=0.0, le=360.0)] | None = None
    """Direction that the modules face, clockwise from north; default: the equator."""
    file: TableFile | None = None
    """Profiles instead of the model of sun and clouds, one column for each system."""


class NetPlane(PvPlane):
    """Systems of a net with profiles; those without one are in the sun."""


class PvSection(PvPlane, Placement):
    """PV systems of one size; without `phase` each is connected like the customer at its bus."""

    p_mw: Positive
    """Rated power of the modules."""
    sn_mva: Positive | None = None
    """Rating of the inverter; default: `p_mw`."""
    min_power_factor: Share = 0.0
    """Least power factor of the inverter; 0 sets no limit."""
    phase: Phase | None = None
    """Connection; without it that of the customer at the bus."""


class Sunlit:
    """Placement and series of a kind of device with a rated power in the sun."""

    index: tuple[int, ...]
    name: tuple[str, ...]
    p_rated_mw: Floats

    @classmethod
    def place(cls, placing: "Placing") -> "tuple[Placed, ...]":
        """Add static generators of type PV; `net_pv` is the orientation of those in the net."""
        own, stated = int(is_photovoltaic(placing.net.sgen).sum()), placing.sections("net_pv")
        solar = is_photovoltaic(placing.net.sgen)
        default = NetPlane() if (solar & placing.profiled("sgen")).any() else PvPlane()
        placed = [Placed("net_pv", stated or default, 0, own)] if own else []
        if stated is not None and not own:
            placing.refuse(
                "net_pv", "the net brings no PV system (an sgen of type PV); pv places new ones"
            )
        for group, buses in placing.groups("pv", own):
            pv = group.section
            placing.add(
                "sgen", "pv", buses, "pv", "PV system", p_mw=pv.p_mw, sn_mva=pv.sn_mva or pv.p_mw,
                type="PV", controllable=True, min_power_factor=pv.min_power_factor,
                phase=placing.phases(pv.phase, group.key, buses),
            )  # fmt: skip
            placed.append(group)
        return tuple(placed)

    @classmethod
    def buses(cls, net: Any) -> list[int]:
        """Return the buses with PV systems."""
        return [int(bus) for bus in net.sgen[is_photovoltaic(net.sgen)].bus]

    def series(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> dict[str, Floats]:
        """Return the available power, of a model of sun and clouds or from a file."""
        return {"pv_available_mw": self._available(maker, placed, maker.clouds, maker.regional)}

    @classmethod
    def has_clear_sky(cls, placed: "tuple[Placed, ...]") -> bool:
        return all(p.section.file is None and not _from_net(p) for p in placed)

    def clear_sky(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> Floats:
        for part in placed:
            if part.section.file is not None or _from_net(part):
                raise ProfileError(
                    f"{maker.where(part.key)}: a file has no clear sky; "
                    'persistence = "day_before" is accepted for forecasts of this grid'
                )
        from stackelgrid.profiles.photovoltaics import CloudModel

        return self._available(maker, placed, CloudModel("clear"), np.ones(maker.axis.length))

    def _available(
        self,
        maker: "SeriesMaker",
        placed: "tuple[Placed, ...]",
        clouds: "CloudModel",
        regional: Floats,
    ) -> Floats:
        """Return the available power (n, systems) in MW under some clouds."""
        from stackelgrid.profiles.photovoltaics import Module, azimuth_to_equator, pv_fleet

        rated = self.p_rated_mw
        available = np.empty((maker.axis.length, len(rated)))
        for part in placed:
            plane, at = part.section, slice(part.first, part.first + part.count)
            if plane.file is not None:
                names = [str(n) for n in self.name[at]]
                per_kw = maker.factors(part.key, plane.file, names, rated[at])
            else:
                azimuth = plane.azimuth_degree
                if azimuth is None:
                    azimuth = azimuth_to_equator(maker.site.latitude)
                per_kw = pv_fleet(
                    maker.site, maker.axis, part.count, Module(plane.tilt_degree, azimuth),
                    clouds, regional, maker.generator("sky", part.key),
                    cloud_rng=maker.variation("sky", part.key), outdoor_c=maker.temperature,
                )  # fmt: skip
            if _from_net(part):
                given, _ = maker.of_net("sgen", self.index[at])
                per_kw = np.where(np.isnan(given), per_kw, given)
            available[:, at] = per_kw * rated[at]
        return available


def _from_net(part: Placed) -> bool:
    return isinstance(part.section, NetPlane)


def is_photovoltaic(sgen: "pd.DataFrame") -> Bools:
    """Return whether the type of each static generator is photovoltaics: PV, Solar, PV roof, ...

    A generator with scaling 0 is switched off: a constant power of 0.
    """
    words = (re.split(r"[^a-z]+", str(kind).casefold()) for kind in sgen["type"])
    solar = np.array([not _SOLAR.isdisjoint(w) for w in words], dtype=bool)
    return solar & (sgen["scaling"] != 0.0).to_numpy(dtype=bool)
