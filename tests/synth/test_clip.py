"""What the truth of a clip says was to be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcbench.cameras.camera import Camera
from mcbench.synth.camera_path import look_at
from mcbench.synth.clip import render_clip
from mcbench.synth.difficulty import DIFFICULTIES
from mcbench.synth.people import make_people
from mcbench.synth.poses import sample_pose
from mcbench.synth.room import Room
from mcbench.synth.scene import Scene


def test_a_face_is_seen_from_before_and_from_the_side_and_not_from_behind(tmp_path: Path) -> None:
    """Of a head that is turned away a strip of the cheek is seen, as high as the face."""
    rng = np.random.default_rng(0)
    (person,) = make_people(rng, [sample_pose(np.random.default_rng(2))])
    face = person.face.mean(0)
    ahead = face - person.joints[15]
    front = np.arctan2(ahead[1], ahead[0])
    poses = []
    for degrees in (0, 60, 120, 180):
        angle = front + np.radians(degrees)
        poses.append(look_at(face + 1.2 * np.array([np.cos(angle), np.sin(angle), 0.0]), face))
    camera = Camera("SIMPLE_PINHOLE", 192, 108, (180.0, 96.0, 54.0))
    room = Room((8.0, 9.0, 2.8), np.zeros((0, 2, 3)))
    scene = Scene(room, [person], camera, np.stack(poses), np.zeros((4, 1, 3)), {})
    truth = render_clip(tmp_path / "clip.mp4", [scene], DIFFICULTIES["easy"], 30, rng, {})
    before, side, cheek, behind = truth.face_px[:, 0]
    assert before > 15 and side > 15
    assert cheek == behind == 0
