"""A camera of this machine as a source of images: frames as they come, until it ends or Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.dataset.source import Frame
from mcbench.errors import InputError

Image = npt.NDArray[np.uint8]


class Webcam:
    """A camera of this machine.

    Parameters
    ----------
    number : of the camera, the first is 0. frames : it ends after so many; 0: it does not.
    """

    kind = "video"

    def __init__(self, number: int, frames: int = 0) -> None:
        self.number, self.frames, self.name = number, frames, f"camera{number}"

    def images(self) -> Iterator[tuple[Frame, Image]]:
        """Frames, RGB (height, width, 3) uint8, each the newest one when it is asked for. Ctrl-C ends them.

        Raises
        ------
        InputError : no such camera, or it shows nothing (reason `no_camera`).
        """
        camera = cv2.VideoCapture(self.number)
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what is old when there is time to look at it is left out
        began, index = time.monotonic(), 0
        try:
            with _interrupted() as stopped:
                while not stopped.is_set() and (not self.frames or index < self.frames):
                    there, bgr = camera.read()
                    if not there:
                        break
                    height, width = bgr.shape[:2]
                    image = np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8, copy=False)
                    yield Frame(index, f"{index:06d}", time.monotonic() - began, width, height), image
                    index += 1
        finally:
            camera.release()
        if not index and not stopped.is_set():
            raise InputError(f"camera {self.number} shows nothing", hint="is it there, and free?", reason="no_camera")


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Inside, Ctrl-C sets this event and does nothing else."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # others are not told of signals
        yield event
        return
    before = signal.signal(signal.SIGINT, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
