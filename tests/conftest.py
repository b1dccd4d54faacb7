"""Settings of all tests: examples of property tests, compiled models, collection of memory.

Property tests try the same examples in every run, new ones on request: `HYPOTHESIS_PROFILE=new make
pytest` draws new ones; what these find becomes an example of its test.
"""

import gc
import os

# before NumPy is loaded: idle BLAS threads spin, and two test processes have two cores
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("support")
pytest_plugins = [
    "fixtures.browser",
    "fixtures.fresh_process",
    "fixtures.grids",
    "fixtures.runs",
    "fixtures.studies",
    "fixtures.systems",
    "fixtures.user_simulators",
    "fixtures.watched_runs",
]

settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("new", deadline=None, database=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_collection_finish():
    """Leave modules and tests out of all collections to come: these objects last to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True, scope="session")
def _compiled_once():
    """Compile the models of equal feeders once a process, not once a run: they hold no state."""
    from stackelgrid.controllers.models import active_network

    known, compile_here = {}, active_network.ActiveNetworkLibrary.compiled

    def compiled(library, *arguments):
        key = active_network.content_of(*arguments)
        if key not in known:
            known[key] = compile_here(library, *arguments)
        return library.models.setdefault(key, known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(active_network.ActiveNetworkLibrary, "compiled", compiled)
        yield
