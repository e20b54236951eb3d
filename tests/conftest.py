"""What all tests share: a hypothesis profile that draws the same examples on every machine."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "kds-ref",
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("kds-ref")
