"""Mutations of scenarios and grid files: seeded, explicit, each a small damage of a good input."""

import copy
import json
import random
import tomllib
from datetime import date, datetime, time
from importlib.resources import files

# values of any kind, put where another one was
VALUES = (
    None, True, False, 0, 1, -1, 2, 7, 10**6, 10**18, 2**63, -(2**70), 10**30, 0.0, -0.5, 0.5, 1.5,
    1e-300, 1e12, 1e15, 1e300, float("inf"), float("-inf"), float("nan"), "", "x", "0.5", "1e400",
    "a" * 300, "../up", "/etc/passwd", "nul\0l", "²", "\u202e", "\ud800", "lv1", "mv1", "00:00",
    "25:00", "Europe/Nowhere", "case33bw", "missing.json", "missing.csv", [], [[]], [1], ["x"],
    [None], [{}], {}, {"x": 1}, {"name": "x"}, {"name": []}, [{"name": "x"}], [0] * 50,
    date(2025, 6, 21), date(1, 1, 1), date(9999, 12, 31), datetime(2262, 4, 12, 1), time(7, 30),
    datetime(2025, 3, 30, 2, 30), b"bytes", 1j, {1: 2}, (1, 2),
)  # fmt: skip
# keys that mean something somewhere
KEYS = (
    "name", "case", "level", "parent", "bus", "multiplicity", "template", "extends", "templates",
    "kind", "file", "p_mw", "count", "share", "steps", "minutes", "intervals", "seed", "grids",
    "pv", "loads", "boundary", "tap_pos", "remote", "ensemble", "communication", "exactness",
    "forecast", "deviations", "", "a.b", "x" * 300, "\0",
)  # fmt: skip
SECTIONS = {
    "forecast": {
        "model": "autoregressive",
        "update_min": 60,
        "load": {"std": 0.1, "phi": 0.9},
        "pv": {"std": 0.2, "bias": -0.1},
        "price": {"std_eur_per_mwh": 5.0},
        "temperature": {"std_k": 1.0},
        "correlation_sites": 0.5,
    },
    "deviations": {
        "level": 0.5,
        "load": {"std": 0.1},
        "pv": {"std": 0.2, "lead_h": 3.0},
        "temperature": {"std_k": 2.0},
        "vehicles": {"late_h": 0.5, "skipped": 0.1},
    },
    "ensemble": {
        "error_levels": [0.0, 1.0],
        "schemes": ["bottom_up"],
        "members": 3,
        "variants": {"short": {"steps": [{"count": 4, "minutes": 15}]}},
        "sizes": {"small": {"members": 1, "intervals": 2, "variants": ["short"]}},
    },
    "exactness": {
        "grid": "mv1",
        "design": "grid",
        "pv_scale": [0.5, 1.0],
        "load_scale": {"from": 0.5, "to": 1.0, "count": 3},
        "sizes": {"tiny": {"pv_scale": [1.0]}},
    },
    "remote": {
        "simulators": [{"name": "far", "grids": ["lv1"], "step_deadline_s": 5.0}],
        "bind": "127.0.0.1",
    },
    "certificate": {"three_phase": True},
    "trade": None,
}


def shipped(name):
    text = (files("stackelgrid.scenarios") / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def scenario_bases():
    """Contents to damage: the shipped scenarios, and `quick` with every section there is."""
    bases = [
        shipped(n)
        for n in (
            "quick",
            "day",
            "messages",
            "exactness",
            "forecast_error",
            "tso_dso",
            "lv_mv",
            "community",
        )
    ]
    for name, section in SECTIONS.items():
        if section is not None:
            bases.append(shipped("quick") | {name: section})
    everything = {k: v for k, v in SECTIONS.items() if v is not None}
    return [*bases, shipped("quick") | copy.deepcopy(everything)]


def places(data):
    """All containers below a value, each once, with the keys in them."""
    found, left = [], [data]
    while left:
        at = left.pop()
        keys = list(at) if isinstance(at, dict) else range(len(at))
        for key in keys:
            found.append((at, key))
            if isinstance(at[key], dict | list) and at[key]:
                left.append(at[key])
    return found


def mutated(base, rng, damages=None):
    """A copy of a content with one to three damages."""
    data = copy.deepcopy(base)
    damages = damages or DAMAGES
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        spots = places(data)
        if not spots:
            break
        at, key = rng.choice(spots)
        rng.choice(damages)(data, at, key, rng)
    return data


def _replace(data, at, key, rng):
    at[key] = copy.deepcopy(rng.choice(VALUES))


def _remove(data, at, key, rng):
    del at[key]


def _rename(data, at, key, rng):
    if isinstance(at, dict):
        at[rng.choice(KEYS)] = at.pop(key)


def _add(data, at, key, rng):
    value = copy.deepcopy(rng.choice(VALUES))
    if isinstance(at, dict):
        at[rng.choice(KEYS)] = value
    else:
        at.append(value)


def _scale(data, at, key, rng):
    value = at[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        factor = rng.choice((-1, 0, 2, 0.5, 1e3, 1e9, 1e40, 1e-12, 10**20))
        at[key] = value * factor if abs(value) < 1e200 else value


def _retype(data, at, key, rng):
    value = at[key]
    at[key] = rng.choice((str, lambda v: [v], lambda v: {"x": v}, lambda v: [v, v], repr))(value)


def _move(data, at, key, rng):
    """Put a value of elsewhere here."""
    other, where = rng.choice(places(data))
    at[key] = copy.deepcopy(other[where])


def _double(data, at, key, rng):
    if isinstance(at, list):
        at.insert(0, copy.deepcopy(at[key]))


def _deepen(data, at, key, rng):
    value = at[key]
    for _ in range(rng.choice((3, 40, 150))):
        value = [value] if rng.random() < 0.5 else {"x": value}
    at[key] = value


def _other_number(data, at, key, rng):
    """Another number of the same kind, for numbers only: often accepted by the schema."""
    value = at[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if isinstance(value, int):
        at[key] = rng.choice((0, 1, 2, 3, 4, 7, 30, value + 1, 2 * value, -value))
    else:
        factor = rng.choice((0.0, 1e-9, 1e-3, 0.1, 0.5, 0.99, 2.0, 10.0, 1e3, 1e9, -1.0))
        at[key] = value * factor


GENTLE = (_other_number, _other_number, _other_number, _remove)
DAMAGES = (
    _replace, _replace, _replace, _remove, _remove, _rename, _add, _scale, _scale, _retype, _move,
    _double, _deepen,
)  # fmt: skip


def damaged_text(text, rng):
    """A text with some characters or lines removed, doubled, swapped or replaced."""
    kind = rng.randrange(5)
    lines = text.splitlines(keepends=True)
    k = rng.randrange(len(lines))
    if kind == 0:
        lines.insert(k, rng.choice(lines))
    elif kind == 1:
        del lines[k]
    elif kind == 2:
        at = rng.randrange(len(text))
        return text[:at]
    elif kind == 3:
        at = rng.randrange(len(text))
        return text[:at] + rng.choice('[]{}"=.#\n\\0\0é') + text[at + 1 :]
    else:
        other = rng.randrange(len(lines))
        lines[k], lines[other] = lines[other], lines[k]
    return "".join(lines)


NET_CELLS = (
    None, True, False, 0, -1, 1, 3, 10**6, 10**20, 10**400, 0.0, -0.5, 0.5, 1e-12, 1e9, 1e13, 1e300,
    float("nan"), float("inf"), float("-inf"), "", "x", "0.5", "hv", "lv", "b", [], [1], {},
    {"a": 1}, {"_module": "os", "_class": "system", "_object": "true"}, "Ratio", "Ideal", "PV",
)  # fmt: skip


def mutated_net(document, rng):
    """Text of a grid file with one to three damages; `document` is that of a good one."""
    content = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 2, 3))):
        net = content.get("_object")
        if not isinstance(net, dict) or not net:
            break
        _damage_net(content, net, rng)
    text = json.dumps(content)
    if rng.random() < 0.05:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(("", "}", "[", '"', "\\", "\0")) + text[at + 1 :]
    return text


def _damage_net(content, net, rng):
    tables = [k for k, v in net.items() if isinstance(v, dict) and '"data":' in str(v) and _rows(v)]
    kind = rng.random()
    if not tables or kind < 0.08:
        key = rng.choice(list(net))
        if rng.random() < 0.5:
            del net[key]
        else:
            net[key] = rng.choice(NET_CELLS)
        return
    if kind < 0.12:
        key = rng.choice(("_module", "_class", "version", "format_version", "sn_mva", "f_hz"))
        (content if key.startswith("_") else net)[key] = rng.choice(
            (*NET_CELLS[:30], "2.0.0", "1.0", "9.9")
        )
        return
    table = net[rng.choice(tables)]
    if kind < 0.2:
        key = rng.choice(list(table))
        table[key] = rng.choice((*NET_CELLS[:30], "pandas", "int64", "category"))
        return
    held = json.loads(table["_object"])
    _damage_table(held, rng)
    table["_object"] = json.dumps(held)


def _rows(table):
    try:
        return bool(json.loads(table["_object"])["data"])
    except (KeyError, TypeError, ValueError):
        return False


def _damage_table(held, rng):
    columns, index, data = held["columns"], held["index"], held["data"]
    row, column = rng.randrange(len(data)), rng.randrange(len(columns)) if columns else 0
    kind = rng.randrange(12)
    if not columns or kind == 0:
        index[row] = rng.choice((*NET_CELLS[:30], 1, 2, 3))
    elif kind == 1:
        columns.pop(column)
        for values in data:
            values.pop(column)
    elif kind == 2:
        columns[column] = rng.choice(("x", "name", "p_mw", 1, None, "bus"))
    elif kind == 3:
        del data[row], index[row]
    elif kind == 4:
        data.append(copy.deepcopy(data[row]))
        index.append(max((i for i in index if isinstance(i, int)), default=0) + 1)
    elif kind == 5:
        value = rng.choice(NET_CELLS)
        for values in data:
            values[column] = value
    elif kind == 6:
        data[row] = data[row][:-1]
    elif kind == 7:
        flags = [k for k, c in enumerate(columns) if c in ("in_service", "closed", "slack")]
        if flags:
            at = rng.choice(flags)
            data[row][at] = not data[row][at]
    elif kind == 8:
        ends = [k for k, c in enumerate(columns) if isinstance(c, str) and c.endswith("bus")]
        if ends:
            data[row][rng.choice(ends)] = rng.randrange(40)
    elif kind == 9 and isinstance(data[row][column], int | float):
        data[row][column] *= rng.choice((-1, 0, 1e-9, 1e6, 1e12, 2))
    else:
        data[row][column] = rng.choice(NET_CELLS)


def generator(seed):
    """Random numbers of one case, which is reproduced by its seed."""
    return random.Random(seed)
