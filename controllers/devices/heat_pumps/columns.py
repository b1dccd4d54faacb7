"""Heat pumps of a pandapower net: columns of this project in the table of loads."""

from typing import TYPE_CHECKING, Any

import numpy as np

from stackelgrid.controllers.devices.heat_pumps.placed import SOURCES, SYSTEMS, HeatPumpSection

if TYPE_CHECKING:
    import pandas as pd

    from stackelgrid.controllers.devices.elements import NetElements

# columns with the defaults of the keys of a scenario
_AS_KEYS = ("set_c", "below_k", "above_k", "comfort_eur_per_k_h", "coldest_c")


def read_columns(elements: "NetElements", frame: "pd.DataFrame", label: str) -> dict[str, Any]:
    """Return the data of heat pumps (HeatPumpData) by field.

    elements: elements of the net.
    frame: the loads that are heat pumps.
    label: name of the kind, for messages.

    Raises NetworkError for values that are not accepted.
    """
    found = {
        name: elements.values(frame, name, missing)
        for name, missing in (
            ("heat_pump_mw", np.nan), ("backup_mw", 0.0), ("power_factor", 1.0),
            ("loss_mw_per_k", np.nan), ("capacity_mwh_per_k", np.nan),
            *((key, HeatPumpSection.model_fields[key].default) for key in _AS_KEYS),
            ("store_mwh", 0.0), ("store_loss_per_h", 0.0), ("water_mwh", 0.0),
            ("gains_mw", 0.0), ("window_m2", 0.0),
        )
    }  # fmt: skip
    source, heating = (
        elements.choices(frame, "load", column, accepted)
        for column, accepted in (("heat_source", SOURCES), ("heating", SYSTEMS))
    )
    factor, band = found["power_factor"], found["below_k"] + found["above_k"]
    checks = (
        (found["heat_pump_mw"] > 0.0, "heat_pump_mw > 0"),
        (found["backup_mw"] >= 0.0, "backup_mw >= 0"),
        ((factor > 0.0) & (factor <= 1.0), "0 < power_factor <= 1"),
        (found["loss_mw_per_k"] > 0.0, "loss_mw_per_k > 0"),
        (found["capacity_mwh_per_k"] > 0.0, "capacity_mwh_per_k > 0"),
        ((found["below_k"] >= 0.0) & (found["above_k"] >= 0.0) & (band > 0.0),
         "a comfort band: below_k, above_k >= 0, one of them > 0"),
        (found["store_mwh"] >= 0.0, "store_mwh >= 0"),
        ((found["store_loss_per_h"] >= 0.0) & (found["store_loss_per_h"] < 1.0),
         "0 <= store_loss_per_h < 1"),
        (found["water_mwh"] >= 0.0, "water_mwh >= 0"),
        ((found["water_mwh"] == 0.0) | (found["store_mwh"] > 0.0),
         "store_mwh > 0 where water_mwh > 0"),
        ((found["gains_mw"] >= 0.0) & (found["window_m2"] >= 0.0), "gains_mw, window_m2 >= 0"),
        ((found["set_c"] >= 5.0) & (found["set_c"] <= 35.0), "5 <= set_c <= 35"),
        ((found["coldest_c"] >= -50.0) & (found["coldest_c"] <= 15.0),
         "-50 <= coldest_c <= 15"),
        (found["coldest_c"] < found["set_c"], "coldest_c below set_c"),
        (found["comfort_eur_per_k_h"] >= 0.0, "comfort_eur_per_k_h >= 0"),
    )  # fmt: skip
    for good, accepted in checks:
        elements.refuse(frame, "load", good, f"is a heat pump and needs {accepted}")
    elements.refuse_power(frame, "load", label)
    return {
        "index": elements.index(frame),
        "name": elements.names(frame, "heat pump"),
        "bus": frame.bus.to_numpy(dtype=np.int64),
        "p_max_mw": found["heat_pump_mw"],
        "backup_mw": found["backup_mw"],
        "tan_phi": np.tan(np.arccos(factor)),
        "loss_mw_per_k": found["loss_mw_per_k"],
        "capacity_mwh_per_k": found["capacity_mwh_per_k"],
        "set_c": found["set_c"],
        "below_k": found["below_k"],
        "above_k": found["above_k"],
        "comfort_eur_per_k_h": found["comfort_eur_per_k_h"],
        "store_mwh": found["store_mwh"],
        "store_kept": 1.0 - found["store_loss_per_h"],
        "water_mwh": found["water_mwh"],
        "ground": source == "ground",
        "floor": heating == "floor",
        "coldest_c": found["coldest_c"],
        "gains_mw": found["gains_mw"],
        "window_m2": found["window_m2"],
        "phase": elements.phases(frame, "load"),
    }
