"""The fit's speed: a rendered scene, other solvers on the same energies, and time against frames and people; one run.

    python benchmarks/fit.py
    python benchmarks/fit.py --people 2 --frames 24 --json

The scene is rendered, its cameras found and its people detected first, which is not timed. Then, on one machine, the
stage by the clock, all else on one core by the processor's time, which other work beside it hardly changes:

- the stage `fit` as `mcbench fit` runs it;
- for each of its people the same energy, that of the body's own keypoints, from the same start: our
  Levenberg-Marquardt; L-BFGS with a line search for the strong Wolfe conditions (scipy's L-BFGS-B without bounds, Moré
  and Thuente's search); Adam with three learning rates, the best of which counts. All read the same exact Jacobian of
  the same reduced body. A method has arrived when its energy is within 0.1 % of ours; one that has not after `--limit`
  gradients counts with the time until then;
- the usual practice for the person whom Adam fits with the fewest steps: the full mesh through `smplx`, autograd, Adam
  at that person's best rate;
- association and fit of simulated people, by keypoints alone, against the number of frames and of people.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from mcbench.body.model import BodyModel, load_body
from mcbench.body.reduced import ReducedBody
from mcbench.body.rotations import exp_so3, log_so3, right_jacobian
from mcbench.cameras.camera import Camera
from mcbench.cameras.views import Views
from mcbench.cli.common import Output, common_options, table
from mcbench.dataset.cameras_file import FrameCamera, SceneCameras
from mcbench.dataset.detections import Detections
from mcbench.errors import McbenchError
from mcbench.fitting.association import Track, associate
from mcbench.fitting.energy import PersonEnergy, PersonProblem, reprojection
from mcbench.fitting.initial import Initialiser
from mcbench.fitting.keypoint_model import STATURE, KeypointModel
from mcbench.fitting.motion_ranges import smpl_ranges
from mcbench.fitting.person_energies import PersonEnergies
from mcbench.fitting.priors import LIMIT_SOFTNESS
from mcbench.fitting.scene_fit import SceneFitter
from mcbench.fitting.settings import FitSettings
from mcbench.fitting.solver import minimise
from mcbench.fitting.starts import Starts
from mcbench.fitting.state import BodyState, PersonState
from mcbench.pipelines.fit import STAGE
from mcbench.workspace.runner import run_stages
from mcbench.workspace.workspace import Scene, Workspace

Array = npt.NDArray[np.float64]

RATES = (0.003, 0.01, 0.03)
#: An energy within this share of ours has arrived.
CLOSE = 1e-3
OURS, LBFGS, ADAM, USUAL = (
    "ours (Levenberg-Marquardt)",
    "L-BFGS, strong Wolfe",
    "Adam, best rate",
    "smplx, autograd, Adam",
)
FRAMES = (20, 60, 200, 600, 2000)
PEOPLE = (1, 2, 5, 10, 20)


@dataclass(frozen=True)
class Task:
    """One person's energy and where all methods start."""

    energy: PersonEnergy
    start: PersonState

    @property
    def x0(self) -> Array:
        """The start as a vector: betas, axis-angles (24 x 3), transl, offsets."""
        body = self.start.body
        parts = (body.betas, log_so3(body.rotations).ravel(), body.transl, self.start.offsets.ravel())
        return np.concatenate(parts)

    def state(self, x: Array) -> PersonState:
        b = len(self.start.body.betas)
        body = BodyState(x[:b], exp_so3(x[b : b + 72].reshape(24, 3)), x[b + 72 : b + 75])
        return PersonState(body, x[b + 75 :].reshape(-1, 3))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """The energy and its gradient by `x`, from the Jacobian that our solver reads, without normal equations."""
        state, energy, b = self.state(x), self.energy, len(self.start.body.betas)
        where = state.body.betas, state.body.rotations, state.body.transl, state.body.expression
        points, d_points = energy.body.with_jacobian(*where)
        normals = reprojection(points + state.offsets, energy.observations, energy.kernel)
        prior, by_prior, _ = energy.priors.linearise(state.body)
        by_body = normals.gradient.ravel() @ d_points.reshape(-1, state.body.size) + by_prior
        turn = by_body[b : b + 72].reshape(24, 1, 3) @ right_jacobian(x[b : b + 72].reshape(24, 3))
        precision = np.repeat(energy.offset_sd, 3) ** -2.0
        offsets = state.offsets.ravel()
        value = normals.value + prior + 0.5 * float(precision @ offsets**2)
        by_offsets = normals.gradient.ravel() + precision * offsets
        return value, np.concatenate([by_body[:b], turn.ravel(), by_body[-3:], by_offsets])


class _Arrived(Exception):
    """The energy aimed at was reached, or the limit on gradients."""


@dataclass(frozen=True)
class Solved:
    """How a method fared: seconds until it arrived or gave up, gradients computed, the lowest energy; Adam's rate."""

    method: str
    seconds: float
    gradients: int
    value: float
    arrived: bool
    rate: float | None = None


class Stopwatch:
    """Calls a function of value and gradient until the value is low enough, or often enough."""

    def __init__(self, function: Callable[[Array], tuple[float, Array]], aim: float, limit: int) -> None:
        self.function, self.aim, self.limit = function, aim, limit
        self.calls, self.lowest = 0, np.inf
        self.started = time.process_time()

    def __call__(self, x: Array) -> tuple[float, Array]:
        value, gradient = self.function(x)
        self.calls += 1
        self.lowest = min(self.lowest, value)
        if value <= self.aim or self.calls >= self.limit:
            raise _Arrived
        return value, gradient

    def result(self, method: str) -> Solved:
        seconds = time.process_time() - self.started
        return Solved(method, seconds, self.calls, self.lowest, self.lowest <= self.aim)


def solve_ours(task: Task) -> Solved:
    started = time.process_time()
    found = minimise(PersonProblem(task.energy), task.start, max_iterations=100, tolerance=1e-6)
    return Solved(OURS, time.process_time() - started, found.iterations + 1, found.value, True)


def solve_lbfgs(task: Task, aim: float, limit: int) -> Solved:
    watch = Stopwatch(task.value_and_gradient, aim, limit)
    options = {"maxcor": 20, "maxiter": limit, "maxfun": limit, "ftol": 0.0, "gtol": 0.0}
    with contextlib.suppress(_Arrived):
        minimize(watch, task.x0, jac=True, method="L-BFGS-B", options=options)
    return watch.result(LBFGS)


def solve_adam(watch: Stopwatch, x: Array, rate: float) -> Solved:
    """Adam (Kingma and Ba 2015) with its usual decays."""
    first, second = np.zeros_like(x), np.zeros_like(x)
    with contextlib.suppress(_Arrived):
        for step in range(1, watch.limit + 1):
            _, gradient = watch(x)
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            x = x - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return replace(watch.result(ADAM), rate=rate)


def through_smplx(task: Task, body: BodyModel, regressor: Any) -> Callable[[Array], tuple[float, Array]]:
    """The same energy on the full mesh by `smplx`, differentiated by autograd."""
    import torch
    from smplx.lbs import batch_rodrigues

    torch.set_num_threads(1)
    model = body.runner.model

    def tensor(value: npt.ArrayLike) -> Any:
        return torch.as_tensor(np.ascontiguousarray(value), dtype=torch.float64)

    o, e, b = task.energy.observations, task.energy, body.n_betas
    read = tensor(regressor.toarray())
    pose, K, pixels = tensor(o.cam_from_world), tensor(o.K), tensor(o.pixels)
    weight, sigma, precision = tensor(o.weight), tensor(o.sigma), tensor(e.offset_sd[:, None] ** -2.0)
    ranges = smpl_ranges()
    mean, deviation, lowest, highest = map(tensor, (ranges.mean, ranges.deviation, ranges.low, ranges.high))
    softness = np.radians(LIMIT_SOFTNESS)

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        t = tensor(x).requires_grad_(True)
        betas, turns, transl, offsets = t[None, :b], t[b : b + 72], t[None, b + 72 : b + 75], t[b + 75 :].reshape(-1, 3)
        rotations = batch_rodrigues(turns.reshape(24, 3))[None]
        out = model(betas=betas, global_orient=rotations[:, :1], body_pose=rotations[:, 1:], transl=transl)
        points = read @ out.vertices[0] + offsets
        inside = points @ pose[:, :, :3].transpose(1, 2) + pose[:, None, :, 3]
        drawn = inside @ K.transpose(1, 2)
        error = drawn[..., :2] / drawn[..., 2:] - pixels
        squared = ((error / sigma[..., None]) ** 2).sum(-1)
        data_term = (weight * squared / (1 + squared / e.kernel**2)).sum()
        angles = turns[3:].reshape(23, 3)
        excess = torch.clamp(angles - lowest, max=0) + torch.clamp(angles - highest, min=0)
        prior = (
            e.priors.shape_weight * (betas**2).sum() + e.priors.pose_weight * (((angles - mean) / deviation) ** 2).sum()
        )
        prior = prior + e.priors.limit_weight * ((excess / softness) ** 2).sum()
        energy = 0.5 * (data_term + prior + (precision * offsets**2).sum())
        energy.backward()
        return float(energy.detach()), t.grad.numpy().copy()

    return value_and_gradient


def render(folder: Path, people: int, frames: int, seed: int) -> Scene:
    """A scene by `mcbench synth`, `import`, `sfm` and `detect`, unless it is there."""

    def mcbench(*words: object) -> None:
        command = [sys.executable, "-m", "mcbench.cli.main", *map(str, words), "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    options = ("--scenes", 1, "--people", people, "--frames", frames, "--difficulty", "easy", "--seed", seed)
    mcbench("synth", folder / "rendered", *options)
    mcbench("import", folder / "rendered" / "clips", folder / "workspace")
    for stage in ("sfm", "detect", "fit"):
        mcbench(stage, folder / "workspace")
    (scene,) = Workspace.open(folder / "workspace").scenes()
    return scene


def time_stage(scene: Scene) -> tuple[float, float, int]:
    """Seconds that the stage `fit` takes, of the clock and of processors, and how many people it fits."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / scene.id
        copy.mkdir()
        for name in ("source", "sfm", "detect"):
            (copy / name).symlink_to(scene.stage_folder(name).resolve())
        started, busy = time.perf_counter(), time.process_time()
        (outcome,) = run_stages([Scene(copy)], [(STAGE, FitSettings())]).outcomes
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        record = Scene(copy).any_record("fit")
        if outcome.status != "ok" or record is None:
            raise McbenchError(f"the fit of the rendered scene ended {outcome.status}: {outcome.message}")
        return seconds, busy, int(record.summary["people"])


def tasks_of(scene: Scene, energies: PersonEnergies) -> list[Task]:
    """The energies of a scene's people by their bodies' own keypoints, in its metric world."""
    views = Views.from_cameras(SceneCameras.load(scene.stage_folder("fit") / "cameras.json"))
    detections = Detections.load(scene.stage_folder("detect") / "detections.npz")
    initialiser = Initialiser(energies.body, energies.joints, energies.priors.mean_turns)
    starts = Starts(initialiser, energies.joints)
    tasks = []
    for track in associate(views, detections):
        points = track.points[energies.whole.body]
        energy = energies.of_track(views, detections, track, np.nanmedian(points, axis=0))
        guesses = starts.first(points, energy.observations)
        if guesses and len(energy.observations) >= FitSettings().min_views:
            tasks.append(Task(energy, PersonState.without_offsets(guesses[0], len(energy.offset_sd))))
    return tasks


def simulated(body: BodyModel, model: KeypointModel, people: int, frames: int) -> tuple[Views, Detections, list[Track]]:
    """People in a row before a camera on an arc, their keypoints with a noise of 1 % of their height."""
    rng = np.random.default_rng(0)
    camera = Camera("SIMPLE_PINHOLE", 960, 540, (860.0, 480.0, 270.0))
    upright = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # SMPL's y is up
    rotations = exp_so3(rng.normal(0, 0.15, (people, 24, 3)))
    rotations[:, 0] = upright
    place = np.stack([1.1 * (np.arange(people) - (people - 1) / 2), np.zeros(people), np.full(people, 1.2)], axis=1)
    posed = body.forward(0.5 * rng.normal(size=(people, body.n_betas)), rotations, place)
    points = np.array([model.of(vertices) for vertices in posed.vertices])  # (P, K, 3)
    distance = 3.0 + 1.1 * people
    frame_cameras = []
    for index, angle in enumerate(np.radians(np.linspace(-30, 30, frames))):
        center = np.array([distance * np.sin(angle), -distance * np.cos(angle), 1.4 + 0.05 * np.sin(9 * angle)])
        z = np.array([0.0, 0.0, 0.9]) - center
        z /= np.linalg.norm(z)
        x = np.cross(z, [0.0, 0.0, 1.0])
        x /= np.linalg.norm(x)
        turn = np.stack([x, np.cross(z, x), z])
        pose = np.concatenate([turn, (-turn @ center)[:, None]], axis=1)
        frame_cameras.append(FrameCamera(index, f"{index}", camera, pose))
    views = Views.from_cameras(SceneCameras(frame_cameras, "metre", np.array([0.0, 0.0, 1.0]), "simulated"))
    pixels = views.project(points).reshape(-1, points.shape[1], 2)  # a row a frame and person
    pixels += rng.normal(0, 0.01 * STATURE * camera.fx / distance, pixels.shape)
    n, k = pixels.shape[:2]
    found = Detections(
        model.keypoint_set, "simulated", np.repeat(np.arange(frames), people), np.ones(n), np.zeros((n, 4)), pixels,
        np.isfinite(pixels).all(-1).astype(float), np.full((n, k, 3), np.nan), np.zeros((n, 0, 0), dtype=np.uint8),
    )  # fmt: skip
    still = np.zeros(frames, dtype=bool)
    views_each, angle = np.full(k, frames), np.full(k, np.radians(60.0))
    tracks = [
        Track(np.arange(person, n, people), still, points[person], np.ones(k), views_each, angle)
        for person in range(people)
    ]
    return views, found, tracks


@dataclass(frozen=True)
class Growth:
    """Seconds of the association and of the fit, by the number of frames or of people."""

    association: dict[int, float]
    fit: dict[int, float]

    @classmethod
    def of(cls, body: BodyModel, model: KeypointModel, sizes: Sequence[tuple[int, int]], by: int) -> Growth:
        """For scenes of some people and frames, `sizes`, of which number `by` tells them apart."""
        association, fit = {}, {}
        for size in sizes:
            views, found, tracks = simulated(body, model, *size)
            started = time.process_time()
            associate(views, found)
            association[size[by]] = time.process_time() - started
            fitter = SceneFitter(ReducedBody(body, model.regressor), model, FitSettings())
            started = time.process_time()
            fitter.fit(views, found, tracks, metric=True)
            fit[size[by]] = time.process_time() - started
        return cls(association, fit)

    def rows(self) -> list[list[float]]:
        return [[n, round(self.association[n], 2), round(seconds, 2)] for n, seconds in self.fit.items()]


def plot(path: Path, by_frames: Growth, by_people: Growth) -> None:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, times, what in zip(
        figure.subplots(1, 2), (by_frames, by_people), ("frames, 5 people", "people, 60 frames"), strict=True
    ):
        sizes, total = list(times.fit), [times.fit[n] + times.association[n] for n in times.fit]
        axes.plot(sizes, list(times.fit.values()), "o-", label="fit")
        axes.plot(sizes, total, "o--", label="association and fit")
        axes.set(
            xlabel=what, ylabel="seconds", xscale="log" if "frames," in what else "linear", ylim=(0, 1.1 * max(total))
        )
        axes.set_xticks(sizes, [str(n) for n in sizes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path)


def compare(tasks: list[Task], limit: int, note: Callable[[str], None]) -> list[list[Solved]]:
    """Every method but the usual practice on every person: rows of ours, L-BFGS, best Adam."""
    rows = []
    for number, task in enumerate(tasks):
        ours = solve_ours(task)
        aim = ours.value * (1 + CLOSE)
        lbfgs = solve_lbfgs(task, aim, limit)
        tried = [solve_adam(Stopwatch(task.value_and_gradient, aim, limit), task.x0, rate) for rate in RATES]
        adam = min(tried, key=lambda s: (not s.arrived, s.seconds))
        rows.append([ours, lbfgs, adam])
        for solved in rows[-1]:
            note(f"person {number}: {describe(solved)}")
    return rows


def describe(solved: Solved) -> str:
    end = "" if solved.arrived else ", not arrived"
    return f"{solved.method}: {solved.seconds:.3f} s, {solved.gradients} evaluations, energy {solved.value:.3f}{end}"


def ratios(rows: list[list[Solved]]) -> Iterator[tuple[str, float, int]]:
    """Median over people of a method's time over ours, and how many arrived."""
    for column in range(1, len(rows[0])):
        yield (
            rows[0][column].method,
            median(row[column].seconds / row[0].seconds for row in rows),
            sum(row[column].arrived for row in rows),
        )


@click.command()
@click.option("--people", type=click.IntRange(1), default=5, show_default=True, help="People in the rendered scene.")
@click.option("--frames", type=click.IntRange(3), default=60, show_default=True, help="Its frames.")
@click.option("--seed", type=int, default=1, show_default=True, help="Its seed.")
@click.option(
    "--limit", type=click.IntRange(1), default=20000, show_default=True, help="Gradients before one gives up."
)
@click.option("--work", type=click.Path(path_type=Path), help="Keep the scene here, and use the one there.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Draw time against frames and people here.")
@common_options
def main(
    output: Output, people: int, frames: int, seed: int, limit: int, work: Path | None, picture: Path | None
) -> None:
    """Time the fit, other solvers on its energies, and its growth with frames and people."""
    with tempfile.TemporaryDirectory() as scratch, nullcontext(work or Path(scratch)) as folder:
        scene = render(folder, people, frames, seed)
        body = load_body()
        detections = Detections.load(scene.stage_folder("detect") / "detections.npz")
        model = KeypointModel.for_body(body, detections.keypoint_set)
        energies = PersonEnergies(ReducedBody(body, model.regressor), model, FitSettings())
        tasks = tasks_of(scene, energies)
        stage_s, stage_cpu_s, fitted = min(time_stage(scene) for _ in range(3))
        stage = f"{stage_s:.2f} s, {stage_cpu_s:.2f} s of processors, {fitted} people, {frames} frames"
        output.note(f"the stage fit: {stage}")
        with threadpool_limits(1, user_api="blas"):
            solve_ours(tasks[0])  # what is loaded or compiled at first use is nobody's time
            rows = compare(tasks, limit, output.note)
            by_frames = Growth.of(body, model, [(5, n) for n in FRAMES], 1)
            by_people = Growth.of(body, model, [(n, 60) for n in PEOPLE], 0)
        # the person whose Adam arrived soonest: the kindest case for the usual practice
        first = min(range(len(rows)), key=lambda i: (not rows[i][2].arrived, rows[i][2].gradients))
        task, ours = tasks[first], rows[first][0]
        mesh = through_smplx(task, body, model.regressor[energies.whole.body])
        agreement = abs(mesh(task.x0)[0] / task.value_and_gradient(task.x0)[0] - 1)
        rate = rows[first][2].rate
        assert rate is not None
        usual = solve_adam(Stopwatch(mesh, ours.value * (1 + CLOSE), limit), task.x0, rate)
        usual = replace(usual, method=USUAL)
        output.note(f"person {first}: {describe(usual)}")
    if picture is not None:
        plot(picture, by_frames, by_people)
    times = list(ratios(rows))
    document = {
        "settings": {"people": people, "frames": frames, "seed": seed, "cores": len(os.sched_getaffinity(0))},
        "stage_s": stage_s,
        "stage_cpu_s": stage_cpu_s,
        "fitted": fitted,
        "solvers": [[vars(solved) for solved in row] for row in rows],
        "over_ours": {name: {"median": ratio, "arrived": arrived} for name, ratio, arrived in times},
        "usual": {**vars(usual), "over_ours": usual.seconds / ours.seconds, "energy_differs_by": agreement},
        "seconds_by_frames": vars(by_frames),
        "seconds_by_people": vars(by_people),
    }
    shown = [[name, ratio, f"{arrived} of {len(rows)}"] for name, ratio, arrived in times]
    shown.append([USUAL, usual.seconds / ours.seconds, f"{int(usual.arrived)} of 1"])
    output.result(
        document,
        f"the stage fit: {stage}",
        table("time to within 0.1 % of our energy, over ours", "method", "times ours", "arrived", rows=shown),
        table("simulated, by keypoints, 5 people", "frames", "association s", "fit s", rows=by_frames.rows()),
        table("simulated, by keypoints, 60 frames", "people", "association s", "fit s", rows=by_people.rows()),
    )


if __name__ == "__main__":
    main()
