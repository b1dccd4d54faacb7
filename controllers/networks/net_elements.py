"""Tables of a pandapower net: those that are simulated, and the buses of their elements."""

SUPPORTED_TABLES = frozenset(
    {"bus", "line", "trafo", "ext_grid", "gen", "sgen", "load", "storage", "shunt"}
)
# tables whose elements become those of supported tables (see `conversion`)
CONVERTED_TABLES = frozenset(
    {"asymmetric_load", "asymmetric_sgen", "impedance", "motor", "trafo3w", "ward", "xward"}
)
# bus columns of branches and other elements of pandapower
BRANCH_ENDS = {
    "line": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "trafo3w": ("hv_bus", "mv_bus", "lv_bus"),
}
_TWO_ENDED = ("impedance", "dcline", "tcsc")
_AT_BUS = (
    "ext_grid", "gen", "sgen", "load", "storage", "shunt", "asymmetric_load", "asymmetric_sgen",
    "motor", "ssc", "svc", "switch", "ward", "xward",
)  # fmt: skip
BUS_COLUMNS = (
    BRANCH_ENDS
    | dict.fromkeys(_TWO_ENDED, ("from_bus", "to_bus"))
    | dict.fromkeys(_AT_BUS, ("bus",))
)
# tables that a kind of switch, `et`, connects to a bus
SWITCHED = {"b": "bus", "l": "line", "t": "trafo", "t3": "trafo3w"}
# pandapower's stand-in for "no rating" in converted MATPOWER cases (case33bw: 99999 kA)
UNLIMITED_KA = 9999.0
