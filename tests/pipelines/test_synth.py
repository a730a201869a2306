"""`mcbench synth`: files, truth, resume, wrong usage."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from running import mcbench

from mcbench.dataset.truth import SceneTruth
from mcbench.joints import SMPL24
from mcbench.pipelines.synth import SynthSettings, jobs_of

SMALL = ("--scenes", 0, "--people", 1, "--frames", 4, "--size", "192x108", "--seed", 3, "--workers", 1)


def test_clip_and_truth_agree(rendered: Path) -> None:
    (clip,) = sorted((rendered / "clips").iterdir())
    truth = SceneTruth.load(rendered / "truth" / f"{clip.stem}.json")
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 30
        assert container.streams.video[0].codec_context.name == "h264"
    assert len(frames) == len(truth.cam_from_world) == 32
    assert frames[0].shape == (360, 640, 3)
    assert truth.joints.shape == (2, 24, 3)
    assert truth.joints_visible.mean() > 0.6
    np.testing.assert_allclose(truth.cam_from_world[:, :, :3] @ truth.cam_from_world[:, :, :3].swapaxes(1, 2)
                               - np.eye(3), 0, atol=1e-9)  # fmt: skip
    # a box holds the joints that are visible, but for what a joint lies inside of its skin
    local = np.einsum("fij,pkj->fpki", truth.cam_from_world[:, :, :3], truth.joints)
    local += truth.cam_from_world[:, None, None, :, 3]
    pixels = local[..., :2] / local[..., 2:] * truth.K[:, None, None, [0, 1], [0, 1]] + truth.K[:, None, None, :2, 2]
    low, high = truth.box[:, :, None, :2], truth.box[:, :, None, 2:]
    inside = ((pixels > low - 12) & (pixels < high + 12)).all(-1)
    assert inside[truth.joints_visible].mean() > 0.99
    # hands and faces are of the same people, in the same place
    for points in (truth.hands.reshape(2, 42, 3), truth.face):
        assert np.isfinite(points).all()
        assert np.linalg.norm(points[:, :, None] - truth.vertices[:, None], axis=-1).min(2).max() < 0.02
    head = np.linalg.norm(truth.face.mean(1) - truth.joints[:, SMPL24.index("head")], axis=1)
    assert truth.face.shape == (2, 51, 3) and head.max() < 0.16


def test_the_summary_says_what_was_measured(rendered: Path) -> None:
    summary = json.loads((rendered / "truth" / "summary.json").read_text())
    assert summary["people"] == 2
    assert 0 <= summary["occluded_share"] <= 0.2
    assert 250 < summary["median_height_px_at_540"] < 460


def test_what_is_there_is_not_rendered_again_and_what_was_lost_is(tmp_path: Path) -> None:
    arguments = ("synth", tmp_path / "d", *SMALL, "--plant", "nobody", "--json")
    first = json.loads(mcbench(*arguments).stdout)
    (clip,) = (tmp_path / "d" / "clips").iterdir()
    data, truth = clip.read_bytes(), clip.parent.parent / "truth" / f"{clip.stem}.npz"
    written = truth.read_bytes()
    assert first["rendered_now"] == 1
    assert json.loads(mcbench(*arguments).stdout)["rendered_now"] == 0
    clip.write_bytes(data[: len(data) // 2])
    assert json.loads(mcbench(*arguments).stdout)["rendered_now"] == 1
    assert clip.read_bytes() == data and truth.read_bytes() == written


@pytest.mark.parametrize(
    "wrong",
    [("--size", "193x108"), ("--size", "big"), ("--difficulty", "silly"), ("--plant", "treason"), ("--frames", 1)],
)
def test_wrong_usage_is_said_and_nothing_written(tmp_path: Path, wrong: tuple[object, ...]) -> None:
    mcbench("synth", tmp_path / "d", *wrong, status=2)
    assert not (tmp_path / "d").exists()


def test_more_scenes_do_not_change_the_first() -> None:
    few, many = (jobs_of(Path("d"), SynthSettings(scenes=n, plants=("cut",))) for n in (2, 5))
    assert [job.key for job in few[:2]] == [job.key for job in many[:2]]
    assert few[-1].key == many[-1].key
    assert len({job.key for job in many}) == 6
