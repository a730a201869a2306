"""A camera, whose frames a file stands for."""

from __future__ import annotations

import os
import signal

import cv2
import numpy as np
import pytest

from mcbench.dataset import webcam
from mcbench.dataset.webcam import Webcam
from mcbench.errors import InputError


class FakeCamera:
    """Shows frames of one colour each, blue first; `opened` are those that there are."""

    released = 0

    def __init__(self, number: int) -> None:
        self.left = {0: 3}.get(number, 0)

    def set(self, what: int, value: float) -> bool:
        return False

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self.left:
            return False, None
        self.left -= 1
        return True, np.full((48, 64, 3), (200, 10 * self.left, 0), np.uint8)

    def release(self) -> None:
        type(self).released += 1


@pytest.fixture(autouse=True)
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    FakeCamera.released = 0
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    return FakeCamera


def test_frames_are_rgb_and_numbered_until_the_camera_ends(camera: type[FakeCamera]) -> None:
    frames = list(Webcam(0).images())
    assert [frame.index for frame, _ in frames] == [0, 1, 2] and camera.released == 1
    assert (frames[0][0].width, frames[0][0].height) == (64, 48)
    assert [image[0, 0].tolist() for _, image in frames] == [[0, 20, 200], [0, 10, 200], [0, 0, 200]]
    times = [frame.time_s for frame, _ in frames]
    assert times == sorted(times)


def test_so_many_frames_and_no_more() -> None:
    assert len(list(Webcam(0, frames=2).images())) == 2


def test_no_camera() -> None:
    with pytest.raises(InputError) as error:
        list(Webcam(7).images())
    assert error.value.reason == "no_camera"


def test_ctrl_c_ends_the_frames_alone(camera: type[FakeCamera]) -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = 0
    for _ in Webcam(0).images():
        seen += 1
        os.kill(os.getpid(), signal.SIGINT)
    assert seen == 1 and camera.released == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_who_stops_looking_gets_their_signals_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    frames = Webcam(0).images()
    next(frames)
    frames.close()
    assert signal.getsignal(signal.SIGINT) is before and webcam.Webcam(3).name == "camera3"
