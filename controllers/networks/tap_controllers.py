"""Controllers of a user's net that would move taps of its transformers."""

from collections.abc import Collection

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.net_record import NetRecord


def replace_tap_controllers(
    net: pandapowerNet, name: str, regulated: Collection[int], record: NetRecord
) -> None:
    """Note the controllers of transformers that the scenario regulates; refuse the others.

    net: net of the user.
    name: name of the grid, for messages.
    regulated: indices of `net.trafo`.
    record: receives the changes.

    Raises NetworkError for a tap controller in service of another transformer, which pandapower
    moves with run_control=True and a run does not.
    """
    if not len(net.controller):
        return
    from pandapower.control import TrafoController  # takes a second to import

    for index, row in net.controller.iterrows():
        if not row.in_service or not isinstance(row.object, TrafoController):
            continue
        kind = type(row.object).__name__
        try:
            element = row.object.element
            trafos = [int(i) for i in np.atleast_1d(row.object.element_index)]
        except (AttributeError, TypeError, ValueError) as error:
            raise NetworkError(
                f"grid {name}: controller {index} ({kind}) does not say which transformers it "
                "moves; element and element_index are needed"
            ) from error
        free = [i for i in trafos if i not in regulated]
        if free:
            raise NetworkError(
                f"grid {name}: controller {index} ({kind}) moves the tap of {element} "
                f"{free[0]}; a boundary of kind oltc regulates the transformer at the slack bus in "
                "its place, any other tap is fixed: take the controller out of service"
            )
        record.note(
            "replaced", "controller", [index], f"{kind} -> oltc of the scenario", key="boundary"
        )
