"""Reading the pickles that SMPL models come in, without running what a pickle may hold.

A pickle names the functions and classes that rebuild its objects, calls them with what it likes and sets attributes
of them. So nothing of numpy or scipy is handed to it: whatever it may name is a stand-in from this module, which keeps
what it is given, and from which plain arrays and matrices are made afterwards. Every other name is refused.
"""

from __future__ import annotations

import functools
import pickle
import re
import types
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from mcbench.errors import InputError


def _unsupported(what: str) -> InputError:
    return InputError(f"holds {what}", reason="unsupported_pickle")


class _StandIn:
    """Keeps the state of an object in a pickle; `value` makes of it what it stands for."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self) -> Any:
        raise NotImplementedError

    def fields(self) -> dict[str, Any]:
        """The state of an object that has a dictionary of attributes."""
        return self.state if isinstance(self.state, dict) else {}


def _value(value: Any) -> Any:
    return value.value() if isinstance(value, _StandIn) else value


class _ChumpyArray(_StandIn):
    def value(self) -> np.ndarray:
        state = self.fields()
        if "x" in state:  # chumpy.ch.Ch
            return np.asarray(_value(state["x"]))
        if {"a", "idxs"} <= set(state):  # chumpy.reordering.Select
            picked = np.asarray(_value(state["a"])).ravel()[np.asarray(_value(state["idxs"]))]
            shape = state.get("preferred_shape")
            return picked if shape is None else picked.reshape(shape)
        raise _unsupported("a chumpy expression that is not a plain array")


class _Dtype(_StandIn):
    """Stands for `numpy.dtype`: a kind and a size ("f8"); its state tells the order of bytes."""

    def __init__(self, code: Any, *_options: Any) -> None:
        self.code = str(code)

    def value(self) -> np.dtype[Any]:
        order = self.state[1] if isinstance(self.state, tuple) else "="
        if not re.fullmatch(r"[biufcSUO]\d+", self.code) or order not in ("<", ">", "=", "|"):
            raise _unsupported(f"an array of type {self.code!r}")
        return np.dtype(f"{order}{self.code}")


class _Array(_StandIn):
    """Stands for `numpy.ndarray`; its state is version, shape, dtype, columns first or not, and bytes or a list."""

    def value(self) -> np.ndarray:
        try:
            _version, shape, kind, columns_first, content = self.state
            dtype = kind.value()
        except (TypeError, ValueError, AttributeError) as error:
            raise _unsupported("an array without contents") from error
        if dtype.hasobject:  # never from bytes, which would be taken for addresses
            if not isinstance(content, list):
                raise _unsupported("an array of objects that is no list")
            flat = np.empty(len(content), dtype=object)
            flat[:] = [_value(item) for item in content]
        else:  # Python 2's strings come as text
            data = content.encode("latin1") if isinstance(content, str) else bytes(content)
            flat = np.frombuffer(data, dtype) if data else np.zeros(0, dtype)
        return flat.reshape(shape, order="F" if columns_first else "C")


class _Sparse(_StandIn):
    """Stands for a sparse matrix. It is made anew, and its indices must lie inside it: code that multiplies trusts
    them."""

    kind: type

    def value(self) -> Any:
        state = {name: _value(item) for name, item in self.fields().items()}
        shape = state.get("_shape", state.get("shape"))
        if self.kind is sparse.coo_matrix:
            row, column = (_value(axis) for axis in state.get("coords", (state.get("row"), state.get("col"))))
            return sparse.coo_matrix((state["data"], (row, column)), shape=shape)
        made = self.kind((state["data"], state["indices"], state["indptr"]), shape=shape)
        made.check_format(full_check=True)
        return made


class _Csc(_Sparse):
    kind = sparse.csc_matrix


class _Csr(_Sparse):
    kind = sparse.csr_matrix


class _Coo(_Sparse):
    kind = sparse.coo_matrix


def _empty_array(*_arguments: Any) -> _Array:
    """numpy's `_reconstruct`: an array whose state follows."""
    return _Array()


def _array_of_bytes(data: Any, dtype: Any, shape: Any, order: Any, _axes: Any = None) -> _Array:
    """numpy's `_frombuffer`, which pickles of protocol 5 name."""
    if order not in ("C", "F"):
        raise _unsupported(f"an array in the order {order!r}")
    made = _Array()
    made.state = (1, shape, dtype, order == "F", bytes(data))
    return made


def _scalar(dtype: Any, data: Any) -> Any:
    made = _Array()
    made.state = (1, (), dtype, False, data)
    return made.value()[()]


def _new_object(cls: Any, base: Any, _state: Any) -> Any:
    """`copyreg._reconstructor`: Python 2's way to make a plain object."""
    if base is not object or not (isinstance(cls, type) and issubclass(cls, _StandIn)):
        raise _unsupported("an object that is built in an unusual way")
    return cls.__new__(cls)


def _set(items: Any = ()) -> list[Any]:
    """Python 2 names `set` where a chumpy array keeps which of its parts have changed; nobody asks for it."""
    return list(items)


def _encode(text: Any, encoding: Any) -> bytes:
    """Python 3 writes bytes for Python 2 as text in Latin-1."""
    if encoding not in ("latin1", "latin-1"):
        raise _unsupported(f"bytes encoded as {encoding!r}")
    return str(text).encode("latin1")


#: What a pickle may name, by module and name, Python 2's and 3's.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _new_object,
    ("copyreg", "_reconstructor"): _new_object,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("__builtin__", "bytes"): bytes,
    ("builtins", "bytes"): bytes,
    ("__builtin__", "set"): _set,
    ("builtins", "set"): _set,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _array_of_bytes),
        )
    },
    **{
        (f"scipy.sparse.{prefix}{kind}", f"{kind}_matrix"): stand_in
        for prefix in ("", "_")
        for kind, stand_in in (("csc", _Csc), ("csr", _Csr), ("coo", _Coo))
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy":
            return _ChumpyArray
        try:
            named = _ALLOWED[module, name]
        except KeyError:
            raise InputError(
                f"is refused: the pickle asks for {module}.{name}, which a body model does not need",
                hint="only load models from where they are published",
                reason="unsafe_pickle",
            ) from None
        # Attributes of functions can be set: each is named in a copy of its own. Stand-ins are guarded by __setstate__.
        return functools.partial(named) if isinstance(named, types.FunctionType) else named


def load_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle, chumpy's arrays turned into numpy's.

    Raises
    ------
    InputError : the file is missing (`missing_file`), names anything but arrays (`unsafe_pickle`), holds some that
        are not plain (`unsupported_pickle`), or is no pickle of a dictionary (`bad_pickle`).
    """
    try:
        with Path(path).open("rb") as stream:
            data = _Unpickler(stream, encoding="latin1").load()
        if not isinstance(data, dict):
            raise InputError(f"holds a {type(data).__name__}, not a dictionary of arrays", reason="bad_pickle")
        return {str(key): _value(value) for key, value in data.items()}
    except InputError as error:
        raise InputError(error.message, path=path, hint=error.hint, reason=error.reason) from error
    except FileNotFoundError as error:
        raise InputError("no such file", path=path, reason="missing_file") from error
    except Exception as error:  # a broken pickle may raise nearly anything
        why = " ".join(str(error).split())  # Python's own messages may take two lines
        raise InputError(f"is not a readable pickle: {why}", path=path, reason="bad_pickle") from error
