"""Pickles of bodies: only arrays' names are taken, wherever they stand. More in `tests/pipelines/test_hostile.py`."""

from __future__ import annotations

import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from mcbench.body.pickles import load_pickle
from mcbench.errors import InputError


class Calls:
    """Unpickled by the book, what a function makes of these arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


class Ch:
    """As chumpy's arrays are pickled: by the name of the class and a dictionary."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


@pytest.fixture(autouse=True)
def _chumpy(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("chumpy.ch")
    module.Ch = Ch  # type: ignore[attr-defined]
    monkeypatch.setattr(Ch, "__module__", "chumpy.ch")
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)


def refused(data: bytes, tmp_path: Path) -> InputError:
    path = tmp_path / "body.pkl"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load_pickle(path)
    assert caught.value.path == path
    return caught.value


def hidden_in_a_sparse_matrix(thing: Any) -> Any:
    matrix = sparse.csc_matrix(np.eye(2))
    matrix.__dict__["note"] = thing
    return matrix


PLACES = {
    "a value": lambda thing: {"a": thing},
    "a key": lambda thing: {thing: 1},
    "all there is": lambda thing: thing,
    "lists in lists": lambda thing: {"a": [[({"b": [thing]},)]]},
    "an array of objects": lambda thing: {"a": np.array([None, thing], dtype=object)},
    "a chumpy array": lambda thing: {"a": Ch(x=np.zeros(3), other=thing)},
    "a sparse matrix": lambda thing: {"a": hidden_in_a_sparse_matrix(thing)},
    "a set": lambda thing: {"a": {thing}},
    "what a call is given": lambda thing: {"a": Calls(set, (thing,))},
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", PLACES)
def test_no_place_is_deep_enough_for_a_call(place: str, protocol: int, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    data = pickle.dumps(PLACES[place](Calls(os.system, f"touch {touched}")), protocol=protocol)
    with_it = pickle.loads(pickle.dumps(PLACES[place]("harmless"), protocol=protocol))
    assert with_it is not None  # the place itself can be pickled
    assert refused(data, tmp_path).reason == "unsafe_pickle"
    assert not touched.exists()


@pytest.mark.parametrize("function", [eval, exec])
def test_code_is_not_run(function: Any, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    data = pickle.dumps({"a": Calls(function, f"open({str(touched)!r}, 'w')")})
    error = refused(data, tmp_path)
    assert error.reason == "unsafe_pickle" and f"builtins.{function.__name__}" in error.message
    assert not touched.exists()


NAMES = ["os system", "posix system", "subprocess Popen", "__builtin__ eval", "builtins getattr", "builtins type",
         "builtins open", "builtins bytearray", "operator attrgetter", "functools partial", "copyreg __newobj__",
         "_codecs decode", "numpy load", "numpy fromfile", "numpy.core.multiarray fromfile", "numpy ndarray.tofile",
         "numpy._core.multiarray array", "scipy.sparse load_npz", "scipy.sparse._csr csr_matrix.todense",
         "pickle loads", "mcbench.body.pickles load_pickle", "mcbench.body.pickles _Array", "notchumpy.ch Ch",
         "chumpyx Ch"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("opcode", ["GLOBAL", "INST", "STACK_GLOBAL"])
def test_a_name_is_refused_even_if_nothing_is_called(name: str, opcode: str, tmp_path: Path) -> None:
    module, attribute = name.rsplit(" ", 1)
    data = {
        "GLOBAL": f"(S'a'\nc{module}\n{attribute}\nd.".encode(),
        "INST": f"(S'a'\n(i{module}\n{attribute}\nd.".encode(),
        "STACK_GLOBAL": b"\x80\x04(X\x01\0\0\0a"
        + b"".join(b"X" + len(x).to_bytes(4, "little") + x.encode() for x in (module, attribute))
        + b"\x93d.",
    }[opcode]
    assert refused(data, tmp_path).reason == "unsafe_pickle"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_comes_with_arrays_passes(protocol: int, tmp_path: Path) -> None:
    """Sets stand in the state of every chumpy array; a dtype, a number of numpy's and bytes are harmless."""
    path = tmp_path / "body.pkl"
    array = np.arange(6.0).reshape(2, 3)
    data = {
        "chumpy": Ch(x=array, _dirty_vars={"x"}, _itr=None),
        "of chumpy": Ch(x=Ch(x=array, _dirty_vars=set())),
        "number": np.float64(1.5),
        "bytes": b"\xff\0",
        "nothing": np.zeros((0, 3)),
        "big-endian": np.arange(3, dtype=">i4"),
        "words": [{"nested": ("tuple", None, True)}],
    }
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    read = load_pickle(path)
    assert np.array_equal(read["chumpy"], array) and np.array_equal(read["of chumpy"], array)
    assert read["number"] == 1.5
    assert read["bytes"] == b"\xff\0"
    assert read["nothing"].shape == (0, 3) and read["big-endian"].tolist() == [0, 1, 2]
    assert read["words"] == [{"nested": ("tuple", None, True)}]


def test_an_array_of_itself_is_no_array(tmp_path: Path) -> None:
    own = Ch()
    own.__dict__["x"] = own
    assert refused(pickle.dumps({"a": own}), tmp_path).reason == "bad_pickle"


@pytest.mark.parametrize(
    "data",
    [b"", b"no pickle", pickle.dumps({"a": np.zeros(99)})[:-40], pickle.dumps([1, 2]), pickle.dumps(None), b"Pname\n."],
    ids=["empty", "text", "truncated", "a list", "none", "a persistent name"],
)
def test_what_is_no_pickle_of_a_dictionary(data: bytes, tmp_path: Path) -> None:
    error = refused(data, tmp_path)
    assert error.reason == "bad_pickle" and "\n" not in str(error)


def test_an_array_that_claims_another_size(tmp_path: Path) -> None:
    data = pickle.dumps({"a": np.zeros((2, 3))}, protocol=2)
    assert refused(data.replace(b"K\x02K\x03", b"K\x09K\x09"), tmp_path).reason == "bad_pickle"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_pickle(tmp_path / "absent.pkl")
    assert caught.value.reason == "missing_file"
