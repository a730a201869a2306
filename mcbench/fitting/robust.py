"""Robust kernels for iteratively reweighted least squares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def geman_mcclure(squared: Array, scale: float) -> tuple[Array, Array]:
    """Geman and McClure's kernel, bounded by `scale`^2 and quadratic near zero.

    rho(u) = u / (1 + u / c^2) with u a squared residual in units of its standard deviation (S. Geman,
    D. McClure, "Statistical methods for tomographic image reconstruction", 1987).

    Parameters
    ----------
    squared : (...) squared normalised residuals u.
    scale : c, the residual, in standard deviations, at which half of the bound is reached.

    Returns
    -------
    rho : (...) robust squared residuals.
    weight : (...) d rho / d u, the weight of the residual in the normal equations.
    """
    shrink = 1.0 / (1.0 + squared / scale**2)
    return squared * shrink, shrink**2
