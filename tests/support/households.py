"""Sections of a scenario for the households of obedient.py."""


def houses(**keys):
    """Two households at the end of the street, in kW."""
    power = {"attribute": "P", "unit": "kW"}
    return {"grid": "lv1", "model": "House", "buses": [6, 7], "p": power, **keys}
