"""What all tests share: hypothesis profiles that draw the same examples on every machine, and threads."""

import os

from hypothesis import HealthCheck, settings

for name, examples in (("kds-ref", 30), ("quick", 4)):  # quick: for the thousands of runs of a mutation test
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("kds-ref")

# Before torch is loaded: processes side by side, each with a thread for every core, would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
