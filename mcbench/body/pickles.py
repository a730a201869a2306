"""Reading the pickles that SMPL models come in, without running what a pickle may hold.

A pickle names the functions that rebuild its objects. Only numpy's arrays and scipy's sparse matrices are rebuilt
here; chumpy's arrays, which old SMPL files hold, are read by a stand-in; every other name is refused.
"""

from __future__ import annotations

import _codecs
import copyreg
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray
from scipy import sparse

from mcbench.errors import InputError


class _ChumpyArray:
    """Stands in for chumpy's classes: keeps their state, from which `array` takes the values."""

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}

    def array(self) -> np.ndarray:
        if "x" in self.state:  # chumpy.ch.Ch
            return np.asarray(_value(self.state["x"]))
        if {"a", "idxs"} <= set(self.state):  # chumpy.reordering.Select
            picked = np.asarray(_value(self.state["a"])).ravel()[np.asarray(_value(self.state["idxs"]))]
            shape = self.state.get("preferred_shape")
            return picked if shape is None else picked.reshape(shape)
        raise InputError("holds a chumpy expression that is not a plain array", reason="unsupported_pickle")


def _value(value: Any) -> Any:
    return value.array() if isinstance(value, _ChumpyArray) else value


def _checked(value: Any) -> Any:
    """The value; a sparse matrix only if its indices stay inside it, as the code that multiplies trusts them."""
    if sparse.issparse(value):
        if value.format == "coo":
            return sparse.coo_matrix((value.data, (value.row, value.col)), shape=value.shape)
        value.check_format(full_check=True)
    return value


_SPARSE = {"csc_matrix": sparse.csc_matrix, "csr_matrix": sparse.csr_matrix, "coo_matrix": sparse.coo_matrix}
#: What a pickle may name, by module and name, Python 2's and 3's.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _codecs.encode,
    ("copy_reg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    ("copyreg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{
        (f"numpy.{core}.multiarray", name): getattr(multiarray, name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    **{(f"scipy.sparse.{module}", name): cls for name, cls in _SPARSE.items() for module in (name[:3], f"_{name[:3]}")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy":
            return _ChumpyArray
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise InputError(
                f"is refused: the pickle asks for {module}.{name}, which a body model does not need",
                hint="only load models from where they are published",
                reason="unsafe_pickle",
            ) from None


def load_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle, chumpy's arrays turned into numpy's.

    Raises
    ------
    InputError : the file is missing (`missing_file`), names anything but arrays (`unsafe_pickle`), or is no
        pickle of a dictionary (`bad_pickle`).
    """
    try:
        with Path(path).open("rb") as stream:
            data = _Unpickler(stream, encoding="latin1").load()
        if not isinstance(data, dict):
            raise InputError(f"holds a {type(data).__name__}, not a dictionary of arrays", reason="bad_pickle")
        return {str(key): _checked(_value(value)) for key, value in data.items()}
    except InputError as error:
        raise InputError(error.message, path=path, hint=error.hint, reason=error.reason) from error
    except FileNotFoundError as error:
        raise InputError("no such file", path=path, reason="missing_file") from error
    except Exception as error:  # a broken pickle may raise nearly anything
        raise InputError(f"is not a readable pickle: {error}", path=path, reason="bad_pickle") from error
