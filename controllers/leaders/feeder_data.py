"""Data of a feeder's model in one interval, by the names of its variables that hold data."""

import numpy as np

from stackelgrid.controllers.devices.terms import Arrays
from stackelgrid.controllers.models.p2p import Prosumers
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.system import Feeder
from stackelgrid.controllers.tolerances import PRICE_SPREAD
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridForecast
from stackelgrid.profiles.time_axis import Horizon


def model_data(
    feeder: Feeder,
    prosumers: Prosumers,
    horizon: Horizon,
    forecast: GridForecast,
    states: Arrays,
    load: tuple[Floats, Floats],
    head_vm_pu: Floats,
) -> dict[str, Floats]:
    """Return the data of network, tariff, devices and trade, p.u. and EUR/MWh.

    feeder: the feeder.
    prosumers: its prosumers.
    horizon: horizon of the model.
    forecast: forecast over the horizon.
    states: states of the devices at its start, within their limits.
    load: uncontrolled consumption (loaded buses, steps) in MW and MVAr.
    head_vm_pu: voltage behind the ideal part of the boundary transformer (steps,).
    """
    base, devices, dt_h = feeder.network.base_mva, feeder.devices, horizon.dt_h
    export = np.minimum(forecast.export_eur_per_mwh, forecast.import_eur_per_mwh - PRICE_SPREAD)
    values = {
        "v_head": head_vm_pu**2,
        "load_p": load[0] / base,
        "load_q": load[1] / base,
        "import_price": forecast.import_eur_per_mwh,
        "export_price": export,
    }

    def at_rest() -> Arrays:
        return devices.held(None, forecast, states, dt_h)

    for member in devices:
        own = member.parameters(forecast, states, dt_h)
        own |= member.joint_parameters(forecast, devices.capped, at_rest)
        values |= {name: value / base for name, value in own.items()}
    if feeder.options.trade is not None:
        own_load = prosumers.own_load(devices.loads.bus, forecast.load_p_mw.T)
        values["prosumer_load"] = own_load / base
    return values


def boundary_data(
    feeder: Feeder, forecast: GridForecast, measured: Measurement
) -> dict[str, Floats]:
    """Return the highest import so far and the price of emissions, where they are paid for."""
    options, values = feeder.options, {}
    if options.capacity_eur_per_mw:
        peak = measured.peak_import_mw / feeder.network.base_mva
        values["peak_before"] = np.array([max(peak, 0.0)])
    if options.emission_eur_per_t:
        emitted = forecast.emission_kg_per_mwh
        values["emission_price"] = 1e-3 * options.emission_eur_per_t * emitted
    return values
