"""Nets by a call of pandapower's own library: `pandapower.networks:FUNCTION(arguments)`."""

import ast
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandapower.networks as pn
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.sources.quiet import quiet
from stackelgrid.profiles.errors import shown

PREFIX = "pandapower.networks:"


def read_function(case: str, name: str, record: NetRecord) -> pandapowerNet:
    """Return the net of `pandapower.networks:FUNCTION(arguments)`; arguments are literals.

    Random choices of a function are those of seed 0. Raises NetworkError for another expression, an
    unknown function, arguments that it refuses, and a result that is not one net.
    """
    where = f"grid {name}: case {shown(case)}"
    function, args, keywords = _call(case.removeprefix(PREFIX), where)
    found = getattr(pn, function, None)
    module = getattr(found, "__module__", "") or ""
    if function.startswith("_") or not callable(found) or not module.startswith(pn.__name__):
        raise NetworkError(
            f"{where}: pandapower.networks has no function {shown(function)}; "
            f"{PREFIX}create_cigre_network_mv(with_der='pv_wind') is an example"
        )
    try:
        with _seeded(), quiet():
            net = found(*args, **keywords)
    except Exception as error:  # whatever the function raises for its arguments
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise NetworkError(f"{where}: {function} refuses its arguments ({reason})") from error
    if not isinstance(net, pandapowerNet):
        raise NetworkError(
            f"{where}: returns {type(net).__name__}; a function that returns one net is accepted"
        )
    return net


def _call(text: str, where: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return name and arguments of a call; nothing is evaluated but literals."""
    accepted = f"{where}: FUNCTION or FUNCTION(arguments) is accepted, arguments being"
    accepted += " numbers, texts, true or false values (True, False), None and lists of them"
    try:
        tree = ast.parse(text, mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, [], {}
        if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):
            raise NetworkError(accepted)
        if any(keyword.arg is None for keyword in tree.keywords):
            raise NetworkError(accepted)
        args = [ast.literal_eval(value) for value in tree.args]
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in tree.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NetworkError(accepted) from error
    return tree.func.id, args, keywords


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed the global generators, which some functions draw from, and restore them."""
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)  # noqa: NPY002
