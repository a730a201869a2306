"""90 % ellipsoids of covariances in space: the error bars of joints."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

Array = npt.NDArray[np.float64]

#: Squared Mahalanobis distance that holds 90 % of a normal distribution in three dimensions.
_BOUND = float(chi2.ppf(0.9, 3))


def ellipsoid_radius(cov: npt.ArrayLike) -> Array:
    """Mean semi-axes (...) of the 90 % ellipsoids of covariances (..., 3, 3), units of length; NaN where unknown."""
    cov = np.asarray(cov, dtype=np.float64)
    known = np.isfinite(cov).all(axis=(-1, -2))
    values = np.linalg.eigvalsh(np.where(known[..., None, None], cov, 0.0))
    return np.where(known, np.sqrt(np.clip(values, 0.0, None) * _BOUND).mean(axis=-1), np.nan)


def in_ellipsoid(offset: npt.ArrayLike, cov: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether offsets (M, 3) lie in the 90 % ellipsoids of covariances (M, 3, 3); False where one is singular."""
    offset, cov = np.asarray(offset, dtype=np.float64), np.asarray(cov, dtype=np.float64)
    finite = np.asarray(np.isfinite(cov).all(axis=(1, 2)))
    regular = finite & (np.linalg.eigvalsh(np.where(finite[:, None, None], cov, 0.0))[:, 0] > 0)
    solved = np.linalg.solve(cov[regular], offset[regular][..., None])[..., 0]
    out = np.zeros(len(offset), dtype=bool)
    out[regular] = (offset[regular] * solved).sum(axis=-1) <= _BOUND
    return out
