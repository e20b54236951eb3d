"""Array backends as one fixture, and independent float64 oracles in plain loops."""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np
import pytest

BACKENDS = ("numpy", "numpy-readonly", "array_api_strict", "array_api_strict-device1", "torch")


@dataclass(frozen=True)
class Backend:
    """One array library: how to make its arrays, read them back and compare them."""

    name: str
    namespace: ModuleType

    def array(self, values: Any, dtype: str = "float64") -> Any:
        """Values as an array of this library; read-only NumPy and another device are part of the point."""
        if self.name.startswith("array_api_strict"):
            device = self.namespace.Device("device1" if self.name.endswith("device1") else "CPU_DEVICE")
            return self.namespace.asarray(np.asarray(values, dtype=dtype), device=device)
        if self.name == "torch":
            return self.namespace.asarray(np.array(values), dtype=getattr(self.namespace, dtype))
        array = np.array(values, dtype=dtype)
        array.setflags(write=self.name == "numpy")
        return array

    def numpy(self, x: Any) -> np.ndarray:
        """A copy as NumPy float64 (integers stay integers); the dtype itself is checked by `check_like`."""
        if self.name == "torch":
            x = x.detach()
            x = x.double().numpy() if x.is_floating_point() else x.numpy()
        elif self.name.startswith("array_api_strict"):
            x = np.asarray(x.to_device(self.namespace.Device("CPU_DEVICE")))
        x = np.array(x)
        return x.astype(np.float64) if np.issubdtype(x.dtype, np.floating) else x

    def check_like(self, x: Any, like: Any, shape: tuple[int, ...] | None = None) -> None:
        """Same library, dtype and device as `like`; its shape too unless another is given."""
        assert array_api_compat.array_namespace(x) is array_api_compat.array_namespace(like)
        assert x.dtype == like.dtype
        assert array_api_compat.device(x) == array_api_compat.device(like)
        assert tuple(x.shape) == (tuple(like.shape) if shape is None else shape)


@pytest.fixture(scope="module", params=BACKENDS)
def xp(request: pytest.FixtureRequest) -> Backend:
    """Every array library in turn."""
    name = request.param
    module = {"numpy": "numpy", "numpy-readonly": "numpy"}.get(name, name.split("-")[0])
    return Backend(name, pytest.importorskip(module))


class Oracle:
    """The formulas of the paper in float64 and plain Python loops; nothing is shared with the package."""

    @staticmethod
    def weights(x: np.ndarray, particles: np.ndarray, h: float) -> list[float]:
        """Normalised Gaussian weights of the particles (N, D) as seen from one point (D,)."""
        logits = [-sum((a - b) ** 2 for a, b in zip(x, p, strict=True)) / (2.0 * h * h) for p in particles]
        peak = max(logits)
        raw = [math.exp(logit - peak) for logit in logits]
        return [w / sum(raw) for w in raw]

    @staticmethod
    def mean_shift(query: np.ndarray, particles: np.ndarray, h: float) -> np.ndarray:
        """KDS Eq. 5 (v1): (M, D), (N, D) -> (M, D)."""
        rows = []
        for x in query:
            weights = Oracle.weights(x, particles, h)
            columns = range(len(x))
            rows.append([sum(w * p[c] for w, p in zip(weights, particles, strict=True)) - x[c] for c in columns])
        return np.asarray(rows)

    @staticmethod
    def log_density(query: np.ndarray, particles: np.ndarray, h: float) -> np.ndarray:
        """KDS Eq. 1 (v1) with the Gaussian kernel, by direct summation: only where nothing underflows."""
        n, d = particles.shape
        out = []
        for x in query:
            total = sum(
                math.exp(-sum((a - b) ** 2 for a, b in zip(x, p, strict=True)) / (2 * h * h)) for p in particles
            )
            out.append(math.log(total / (n * h**d * (2 * math.pi) ** (d / 2))))
        return np.asarray(out)

    @staticmethod
    def steer(z: np.ndarray, h: float, strength: float, patch_size: int = 1) -> np.ndarray:
        """KDS Eq. 7 and 8 (v1) on one ensemble (N, C, H, W), location by location."""
        out = z.copy()
        for top in range(0, z.shape[2], patch_size):
            for left in range(0, z.shape[3], patch_size):
                window = (
                    slice(None),
                    slice(None),
                    slice(top, top + patch_size),
                    slice(left, left + patch_size),
                )
                patches = z[window].reshape(len(z), -1)
                moved = patches + strength * Oracle.mean_shift(patches, patches, h)
                out[window] = moved.reshape(z[window].shape)
        return out


@pytest.fixture(scope="session")
def oracle() -> type[Oracle]:
    """Independent implementations to compare with."""
    return Oracle
