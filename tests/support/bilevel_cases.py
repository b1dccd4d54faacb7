"""Bilevel problems from the literature as Pyomo models."""

import json

import pyomo.environ as pyo
from support.paths import REFERENCE_CASES

CASES = {case["id"]: case for case in json.loads((REFERENCE_CASES / "bilevel.json").read_text())}
MARKET = {case["id"]: case for case in json.loads((REFERENCE_CASES / "market.json").read_text())}


def case_model(case):
    """Pyomo model of a case; its follower is the block `follower`."""
    model = pyo.ConcreteModel(case["id"])
    model.follower = pyo.Block()
    names = {}
    for block, variables in (
        (model, case["leader_variables"]),
        (model.follower, case["follower_variables"]),
    ):
        for name in variables:
            block.add_component(name, pyo.Var())
            names[name] = getattr(block, name)
    for block, level in ((model, "leader"), (model.follower, "follower")):
        sense, expression = case[f"{level}_objective"].split(" ", 1)
        block.cost = pyo.Objective(
            expr=evaluate(expression, names), sense=pyo.minimize if sense == "min" else pyo.maximize
        )
        block.rows = pyo.ConstraintList()
        for row in case[f"{level}_constraints"]:
            block.rows.add(evaluate(row, names))
    return model


def evaluate(expression, names):
    """Value of an expression in which only these names are known."""
    return eval(expression, {"__builtins__": {}}, names)
