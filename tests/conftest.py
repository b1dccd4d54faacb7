"""Examples of property tests: the same in every run, new ones on request.

`HYPOTHESIS_PROFILE=new make pytest` draws new ones; what these find becomes an example of its test.
"""

import os

# before NumPy is loaded: idle BLAS threads spin, and two test processes have two cores
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("new", deadline=None, database=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
