"""What runs a network: ONNX Runtime, which is faster on CPUs, or torch."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mcbench.cache import cache_folder
from mcbench.dataset.files import dumps, read_json, sha256_file, write_bytes
from mcbench.dataset.media import read_head
from mcbench.dope.checkpoint import config_from_json, load_network
from mcbench.dope.integration import Hypotheses
from mcbench.dope.network import Dope, DopeConfig, PartOutput
from mcbench.dope.people import KINDS
from mcbench.errors import InputError

Image = npt.NDArray[np.uint8]

ENGINES = ("auto", "onnx", "torch")
#: Raised whenever the same network would give another graph.
_GRAPH_VERSION = 3
_FIELDS = ("boxes", "scores", "pose2d", "pose3d")
_OPSET = 17
#: Of a graph: types and numbers of axes of what goes in, names of what comes out.
_INPUTS = {"image": ("tensor(uint8)", 3), "size": ("tensor(float)", 1)}
_OUTPUTS = [f"{kind}_{field}" for kind in KINDS for field in _FIELDS]


class Engine(Protocol):
    """Runs a network on one image.

    Attributes
    ----------
    name : for people. config : of the network.
    """

    name: str
    config: DopeConfig

    def run(self, image: Image, size: tuple[int, int]) -> Mapping[str, Hypotheses]:
        """What the network says of each kind.

        Parameters
        ----------
        image : (H, W, 3) uint8 RGB, scaled, its sides padded to multiples of 32.
        size : height and width px without the padding.
        """
        ...


class TorchEngine:
    """Runs a network by torch, on a GPU where there is one."""

    def __init__(self, network: Dope) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.name, self.config = f"torch ({self.device.type})", network.config
        self._graph = Graph(network.eval()).to(self.device)

    @torch.inference_mode()
    def run(self, image: Image, size: tuple[int, int]) -> Mapping[str, Hypotheses]:
        pixels = torch.from_numpy(image).to(self.device)
        values = self._graph(pixels, torch.tensor(size, dtype=torch.float32, device=self.device))
        return _by_kind([value.cpu().numpy() for value in values])


class OnnxEngine:
    """Runs the graph of a network by ONNX Runtime on the CPU.

    Parameters
    ----------
    path : of the graph; its configuration stands beside it (`.json`).
    threads : 0 for one a core.

    Raises
    ------
    InputError : the configuration is none (reason `bad_json`), the graph is none or another one (`bad_graph`), or a
        file of them is absent or cannot be read.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        import onnxruntime  # an extra

        read_head(path)
        self.name, self.config = "onnx", _read_config(path.with_suffix(".json"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # threads that wait in a loop take the cores from whatever else runs: twice as slow on a busy machine
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has errors of its own, of many kinds
            raise InputError(f"is no graph that ONNX Runtime runs: {error}", path=path, reason="bad_graph") from error
        inputs = {value.name: (value.type, len(value.shape)) for value in self._session.get_inputs()}
        outputs = [value.name for value in self._session.get_outputs()]
        if inputs != _INPUTS or outputs != _OUTPUTS:
            raise InputError(
                "is no graph of a whole-body network",
                path=path,
                hint="mcbench export-dope writes such a graph",
                reason="bad_graph",
            )

    def run(self, image: Image, size: tuple[int, int]) -> Mapping[str, Hypotheses]:
        return _by_kind(self._session.run(None, {"image": image, "size": np.array(size, dtype=np.float32)}))


def _read_config(path: Path) -> DopeConfig:
    document = read_json(path)
    try:
        return config_from_json(document["config"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"is no configuration of a network: {error!r}", path=path, reason="bad_json") from error


def _by_kind(values: list[npt.NDArray[np.float64]]) -> dict[str, Hypotheses]:
    width = len(_FIELDS)
    return {kind: Hypotheses(*values[i * width : (i + 1) * width]) for i, kind in enumerate(KINDS)}


class Graph(nn.Module):
    """A network from pixels to what it says, as one graph: normalisation, proposals and suppression included."""

    def __init__(self, network: Dope) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        """`boxes`, `scores`, `pose2d`, `pose3d` of each kind, of an image (H, W, 3) uint8."""
        x = self.network.normalised(image.permute(2, 0, 1).float() / 255)[None]
        found: dict[str, PartOutput] = self.network.look(x, size)
        return tuple(getattr(found[kind], field) for kind in KINDS for field in _FIELDS)


def export_onnx(network: Dope, path: Path) -> None:
    """Write a network as an ONNX graph for images of any size, and its configuration beside it (`.json`).

    Inputs are `image` (H, W, 3) uint8 RGB, sides multiples of 32, and `size` (2,) float32, height and width without
    padding. Outputs are `<kind>_boxes`, `_scores`, `_pose2d`, `_pose3d`, as in `Hypotheses`, of as many proposals as
    there are.

    Raises
    ------
    InputError : what exporting needs is not installed (reason `missing_package`).
    """
    axes = {"image": {0: "height", 1: "width"}, **{name: {0: name.partition("_")[0]} for name in _OUTPUTS}}
    example = (torch.zeros(64, 96, 3, dtype=torch.uint8), torch.tensor([64.0, 96.0]))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts of the graph that do not change, and that it will go one day
            torch.onnx.export(
                Graph(network.eval().cpu()),
                example,
                str(temporary),
                dynamo=False,
                opset_version=_OPSET,
                input_names=list(_INPUTS),
                output_names=_OUTPUTS,
                dynamic_axes=axes,
            )
        write_bytes(path.with_suffix(".json"), dumps({"config": network.config.to_json()}).encode())
        temporary.replace(path)
    except ImportError as error:
        raise InputError(
            f"exporting needs {error.name}", hint="pip install 'mcbench[dope]'", reason="missing_package"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def open_engine(weights: Path, engine: str = "auto", threads: int = 0) -> Engine:
    """What runs the network of a file: a checkpoint of ours, a public one, or an ONNX graph.

    Parameters
    ----------
    engine : `onnx`, `torch`, or `auto`: ONNX Runtime where it is installed and there is no GPU. The graph of a
        checkpoint is made once and kept in the cache, and made again where it is damaged.

    Raises
    ------
    InputError : as `load_network`, or the engine asked for is not installed (reason `missing_package`).
    """
    weights = Path(weights)
    graph = weights.suffix == ".onnx"
    installed = importlib.util.find_spec("onnxruntime") is not None
    if (engine == "onnx" or graph) and not installed:
        raise InputError("onnxruntime is not installed", hint="pip install 'mcbench[dope]'", reason="missing_package")
    exports = importlib.util.find_spec("onnx") is not None
    if graph:
        return OnnxEngine(weights, threads)
    if engine == "torch" or (engine == "auto" and (not installed or not exports or torch.cuda.is_available())):
        return TorchEngine(load_network(weights))
    network = load_network(weights)
    path = cache_folder("dope", f"{sha256_file(weights)[:16]}-{_GRAPH_VERSION}.onnx")
    try:
        kept = OnnxEngine(path, threads)
        if kept.config == network.config:
            return kept
    except InputError:  # absent or damaged
        pass
    export_onnx(network, path)
    return OnnxEngine(path, threads)
