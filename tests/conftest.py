"""Examples of property tests: the same in every run, new ones on request.

`HYPOTHESIS_PROFILE=new make pytest` draws new ones; what these find becomes an example of its test.
"""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("new", deadline=None, database=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
