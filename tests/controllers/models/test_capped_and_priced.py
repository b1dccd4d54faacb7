"""Caps of customers, shedding, and the prices of peak and emissions, against hand calculations."""

import numpy as np
import pandapower as pp
import pytest

from stackelgrid.controllers.models.active_network import ActiveNetworkOptions

CAP_MW = 0.0042
HEAT_PUMP_MW = 0.002  # 4 kW of heat at a COP of 2 balance 1 kW/K times 4 K


def add_vehicle(net, bus):
    """A vehicle of 20 kWh, 11 kW, without losses, at 9 kWh."""
    pp.create_storage(
        net, bus, p_mw=0.0, max_e_mwh=0.02, min_e_mwh=0.0, soc_percent=45.0, max_p_mw=0.011,
        min_p_mw=0.0, type="vehicle", controllable=True,
    )  # fmt: skip


def add_heat_pump(net, bus):
    """A heat pump whose room may not leave its set temperature."""
    pp.create_load(
        net, bus, p_mw=0.0, heat_pump_mw=0.003, power_factor=1.0, loss_mw_per_k=1e-3,
        capacity_mwh_per_k=0.01, set_c=20.0, below_k=0.0, above_k=1e-5,
        comfort_eur_per_k_h=1000.0, heat_source="air", heating="radiators",
    )  # fmt: skip


def add_task(net, bus):
    """A task in parts: 10 kWh at up to 10 kW."""
    pp.create_load(net, bus, p_mw=0.0, task_mw=0.01, task_mwh=0.01)


@pytest.fixture
def homes(radial_net):
    """`homes(cap=...)`: two homes on stiff lines, each with a vehicle, the first with a heat pump.

    The columns of a cap at the first home are keywords.
    """

    def build(**cap):
        net = radial_net([0, 1], [0, 1.0, 1.0], [0, 0, 0], length_km=0.0001)
        add_heat_pump(net, 1)
        add_vehicle(net, 1)
        add_vehicle(net, 2)
        if cap:
            pp.create_load(net, 1, p_mw=0.0, cap_mw=CAP_MW, **cap)
        return net

    return build


def at_home(cap_open=(1.0, 1.0)):
    """Two steps at home, the batteries full at the end; 4 K too cold without heating."""
    steps = np.ones((2, 1))
    return {
        "vehicle_connected": np.ones((2, 2)), "vehicle_driven_mwh": np.zeros((2, 2)),
        "vehicle_needed_mwh": np.zeros((2, 2)), "vehicle_required_mwh": np.full((2, 2), 0.02),
        "heat_pump_cop": 2.0 * steps, "heat_pump_water_cop": 2.0 * steps,
        "heat_pump_drive_c": 16.0 * steps, "heat_pump_water_mw": 0.0 * steps,
        "cap_open": np.reshape(cap_open, (2, 1)),
    }  # fmt: skip


def solve(solve_active, net, price, series, **more):
    price = np.asarray(price, dtype=float)
    return solve_active(
        net, (1.0, 1.0), import_price=price, export_price=price - 50.0, series=series, **more
    )


def test_a_cap_in_hours_limits_the_sum_at_its_bus_and_nothing_elsewhere(homes, solve_active):
    net = homes(cap_from_h=0.0, cap_to_h=1.0)
    result = solve(solve_active, net, [20.0, 200.0], at_home((1.0, 0.0)))
    charge, house = result.mw("vehicle_charge"), result.mw("heat_pump_house")[0]
    np.testing.assert_allclose(house, HEAT_PUMP_MW, atol=2e-5)
    # 11 kWh are missing, 0.1 % of them are not insisted on; without a cap all come at 20 EUR/MWh
    np.testing.assert_allclose(charge[1], [0.011, 0.0], atol=3e-5)
    assert charge[0, 0] + house[0] == pytest.approx(CAP_MW, abs=1e-7)
    assert charge[0, 1] == pytest.approx(0.011 - charge[0, 0], abs=3e-5)


def test_half_an_hour_of_a_cap_in_a_step_counts_half(homes, solve_active):
    net = homes(cap_from_h=0.0, cap_to_h=1.0)
    result = solve(solve_active, net, [20.0, 200.0], at_home((0.5, 0.0)))
    drawn = result.mw("vehicle_charge")[0, 0] + result.mw("heat_pump_house")[0, 0]
    most = 0.011 + 0.003  # of vehicle and heat pump
    assert drawn == pytest.approx((CAP_MW + most) / 2.0, abs=1e-7)


@pytest.mark.parametrize(("held_price", "held"), [(110.0, 0.0), (90.0, 1.0)])
def test_an_operator_holds_back_power_above_the_cap_at_its_price(
    homes, solve_active, held_price, held
):
    net = homes(held_back_eur_per_mwh=held_price)
    # without control: 11 kW and 2 kW in the first step, 2 kW in the second; later is 100 cheaper
    result = solve(solve_active, net, [300.0, 200.0], at_home())
    above = 0.011 + HEAT_PUMP_MW - CAP_MW
    np.testing.assert_allclose(result.mw("cap_held")[0], [held * above, 0.0], atol=3e-5)
    drawn = result.mw("vehicle_charge")[0] + result.mw("heat_pump_house")[0]
    # the rest of the battery follows; the cap is had in any case
    first = 0.011 + HEAT_PUMP_MW - held * above
    second = HEAT_PUMP_MW + held * above
    np.testing.assert_allclose(drawn, [first, second], atol=4e-5)
    # the other home has no cap: its operator may charge when it is cheap
    np.testing.assert_allclose(result.mw("vehicle_charge")[1], [0.0, 0.011], atol=4e-5)
    loads, other = 0.002 * 500.0, 0.011 * 200.0
    own = 300.0 * first + 200.0 * second + held_price * held * above
    assert result.objective == pytest.approx(loads + other + own, abs=2e-2)


def test_an_operator_never_holds_back_what_the_cap_leaves(homes, solve_active):
    net = homes(held_back_eur_per_mwh=0.0)
    result = solve(solve_active, net, [3000.0, 200.0], at_home())
    drawn = result.mw("vehicle_charge")[0] + result.mw("heat_pump_house")[0]
    assert drawn[0] == pytest.approx(CAP_MW, abs=1e-6)


# ------------------------------------------------------------------ shedding


def test_shedding_begins_where_import_exceeds_its_price(radial_net, solve_active):
    net = radial_net([0], [0, 20.0], [0, 5.0], length_km=0.0001)
    pp.create_load(net, 1, p_mw=0.0, shed_percent=40.0, shed_eur_per_mwh=150.0)
    price = np.array([149.0, 151.0, 300.0])
    dt = np.array([1.0, 0.5, 2.0])
    result = solve_active(
        net, dt, load=[1.0, 1.0, 0.5], import_price=price, export_price=price - 50.0
    )
    shed = np.array([0.0, 0.008, 0.004])  # 40 % of 20 and of 10 kW
    np.testing.assert_allclose(result.mw("shed_p")[0], -shed, atol=1e-6)
    load = np.array([0.02, 0.02, 0.01])
    np.testing.assert_allclose(result.mw("p_import")[0], load - shed, atol=1e-6)
    # the power factor of the load stays
    np.testing.assert_allclose(result.mw("q_import")[0], 0.25 * (load - shed), atol=1e-6)
    cost = dt @ (price * (load - shed) + 150.0 * shed)
    assert result.objective == pytest.approx(cost, abs=1e-3)


# ------------------------------------------------------------------ peak and emissions


def two_steps(radial_net, solve_active, price, options, boundary, load=(2.0, 1.0), pv=0.0):
    """Loads of 20 and 10 kW, and 10 kWh of a task in one of two steps; import by step in kW."""
    net = radial_net([0], [0, 10.0], [0, 0], length_km=0.0001)
    add_task(net, 1)
    if pv:
        pp.create_sgen(net, 1, p_mw=pv, sn_mva=pv, type="PV", controllable=True)
    steps = np.ones((2, 1))
    series = {"task_open": steps, "task_arrivals": [[1.0], [0.0]], "task_ends": [[0.0], [1.0]],
              "task_latest": 0.0 * steps, "task_after_h": 0.0 * steps}  # fmt: skip
    result = solve(
        solve_active, net, price, series, load=load, options=options, boundary=boundary, pv_mw=pv
    )
    return result, 1e3 * result.mw("p_import")[0]


BASE = 0.1  # MVA of the nets above


@pytest.mark.parametrize(
    ("capacity", "before_kw", "first_kw", "rise_kw"),
    [
        (9.0, 0.0, 10.0, 30.0),  # the first step is 10 EUR/MWh cheaper: a peak of 30 kW is worth it
        (11.0, 0.0, 0.0, 20.0),
        (11.0, 25.0, 5.0, 0.0),  # up to a peak that has been, more import costs nothing
        (11.0, 27.5, 7.5, 0.0),
        (11.0, 35.0, 10.0, 0.0),
        (9.0, 25.0, 10.0, 5.0),
    ],
)
def test_a_capacity_price_against_two_steps_by_hand(
    radial_net, solve_active, capacity, before_kw, first_kw, rise_kw
):
    options = ActiveNetworkOptions(capacity_eur_per_mw=capacity)
    boundary = {"peak_before": np.array([1e-3 * before_kw / BASE])}
    result, drawn = two_steps(radial_net, solve_active, [50.0, 60.0], options, boundary)
    np.testing.assert_allclose(drawn, [20.0 + first_kw, 20.0 - first_kw], atol=2e-3)
    assert BASE * result.optimum.value("peak")[0] >= 1e-3 * max(before_kw, 20.0 + first_kw) - 1e-6
    cost = 1e-3 * (50.0 * drawn[0] + 60.0 * drawn[1] + capacity * rise_kw)
    assert result.objective == pytest.approx(cost, abs=1e-4)


def test_a_price_of_emissions_moves_consumption_to_cleaner_hours(radial_net, solve_active):
    # 500 and 100 kg/MWh at 80 EUR/t are 40 and 8 EUR/MWh
    options = ActiveNetworkOptions(emission_eur_per_t=80.0)
    boundary = {"emission_price": np.array([40.0, 8.0])}
    result, drawn = two_steps(radial_net, solve_active, [50.0, 60.0], options, boundary)
    np.testing.assert_allclose(drawn, [20.0, 20.0], atol=2e-3)
    assert result.objective == pytest.approx(0.02 * (50.0 + 40.0) + 0.02 * (60.0 + 8.0), abs=1e-4)


def test_export_saves_no_emissions(radial_net, solve_active):
    options = ActiveNetworkOptions(emission_eur_per_t=80.0)
    boundary = {"emission_price": np.array([40.0, 40.0])}
    result, drawn = two_steps(
        radial_net, solve_active, [60.0, 60.0], options, boundary, load=(0.0, 0.0), pv=0.03
    )
    # the task draws from PV, all else is sold at 10 EUR/MWh
    assert drawn.sum() == pytest.approx(-50.0, abs=2e-3)
    assert result.objective == pytest.approx(-0.05 * 10.0, abs=1e-4)
    np.testing.assert_allclose(BASE * result.pu("emitting"), 0.0, atol=1e-6)
