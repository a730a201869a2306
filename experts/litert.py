"""Running a LiteRT (TensorFlow Lite) model."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import Model, ModelT

#: One thread: the same sums in the same order on every machine, and scenes are what runs in parallel.
THREADS = 1


class LiteRtModel:
    """A model with one image input and float outputs.

    Parameters
    ----------
    also : names of tensors inside the model that are outputs, too, after its own.

    Attributes
    ----------
    size : side of the square input, px; 1 where the model takes images of any size.
    """

    def __init__(self, path: Path, also: Sequence[str] = ()) -> None:
        # a file is mapped into memory, which processes share
        model = {"model_content": _with_outputs(path.read_bytes(), also)} if also else {"model_path": str(path)}
        with _quiet_native_code():
            self._interpreter = Interpreter(**model, num_threads=THREADS)
            self._interpreter.allocate_tensors()
        (details,) = self._interpreter.get_input_details()
        self._input, self._dtype = details["index"], details["dtype"]
        self._shape = tuple(int(side) for side in details["shape"][1:])
        self._any_size = -1 in details["shape_signature"]
        self._outputs = [o["index"] for o in self._interpreter.get_output_details()]
        self.size = self._shape[0]

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Run on one image.

        Parameters
        ----------
        image : (size, size, 3), in the range of values that the model was trained on; (height, width, 3) where the
            model takes any size.

        Returns
        -------
        The outputs in the model's own order, without the batch axis.
        """
        if self._any_size and image.shape != self._shape:
            self._interpreter.resize_tensor_input(self._input, (1, *image.shape))
            self._interpreter.allocate_tensors()
            self._shape = image.shape
        self._interpreter.set_tensor(self._input, image.astype(self._dtype)[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]


def _with_outputs(content: bytes, names: Sequence[str]) -> bytes:
    """A model's file with further tensors among the outputs."""
    model = ModelT.InitFromObj(Model.GetRootAs(content, 0))
    (graph,) = model.subgraphs
    index = {tensor.name.decode(): i for i, tensor in enumerate(graph.tensors)}
    graph.outputs = [*graph.outputs, *(index[name] for name in names)]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=content[4:8])
    return bytes(builder.Output())


@contextmanager
def _quiet_native_code() -> Iterator[None]:
    """Keep what native code writes to stderr away from the user: LiteRT announces its delegate there and has no
    switch for it. Its errors come as exceptions."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as sink:
            os.dup2(sink.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
