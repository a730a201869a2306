"""Where jobs run: in this process, in a local pool of processes, or on a Ray cluster. Same function, same results."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from mcbench.errors import UsageError
from mcbench.workspace.stage import Progress, no_progress

J = TypeVar("J")
R = TypeVar("R")
_PR_SET_PDEATHSIG = 1


class WorkerDied(Exception):
    """The process that worked on a job was killed, by the kernel for want of memory, say."""


class Executor(Protocol):
    """Applies `function(job, progress)` to jobs and yields (job, result or WorkerDied) as they end."""

    def map(self, function: Callable[[J, Progress], R], jobs: Sequence[J]) -> Iterator[tuple[J, R | WorkerDied]]: ...


class InProcess:
    """One job after the other in this process; simplest to debug."""

    def __init__(self, progress: Progress = no_progress) -> None:
        self.progress = progress

    def map(self, function: Callable[[J, Progress], R], jobs: Sequence[J]) -> Iterator[tuple[J, R | WorkerDied]]:
        for job in jobs:
            yield job, function(job, self.progress)


_events: Any = None  # the queue of a worker process to its driver


def _start_worker(events: Any) -> None:
    """Die with the driver: an orphan would hold its scene's lock. Progress goes through `events`."""
    global _events
    _events = events
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _report(done: int, total: int | None, label: str) -> None:
    _events.put((done, total, label))


def _call(function: Callable[[J, Progress], R], job: J) -> R:
    # the import of COLMAP, which the job brought about, made SIGTERM print a native stack
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return function(job, _report)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while workers start: they inherit that, and one that is hit while it imports shows a traceback.

    The driver gets it as soon as they are started.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are none of its business
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class LocalPool:
    """A pool of processes on this machine.

    Parameters
    ----------
    workers : number of processes.
    progress : called in the driver with what the workers report.
    """

    def __init__(self, workers: int, progress: Progress = no_progress) -> None:
        self.workers = workers
        self.progress = progress

    def map(self, function: Callable[[J, Progress], R], jobs: Sequence[J]) -> Iterator[tuple[J, R | WorkerDied]]:
        left: list[J] = []
        yield from self._attempt(function, jobs, min(self.workers, max(1, len(jobs))), left)
        # A dead worker takes the pool with it and does not say whose job it was: the rest go on one at a time.
        for job in left:
            lost: list[J] = []
            yield from self._attempt(function, [job], 1, lost)
            if lost:
                yield job, WorkerDied("the worker process was killed (out of memory?)")

    def _attempt(
        self, function: Callable[[J, Progress], R], jobs: Sequence[J], workers: int, left: list[J]
    ) -> Iterator[tuple[J, R]]:
        context = multiprocessing.get_context("spawn")
        events = context.SimpleQueue()
        listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        listener.start()
        others = set(multiprocessing.active_children())
        ended = False
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(events,))
        try:
            futures: dict[Any, int] = {}
            with _interrupts_held():
                for index, job in enumerate(jobs):
                    try:
                        futures[pool.submit(_call, function, job)] = index
                    except BrokenProcessPool:
                        left.append(job)
            for future in as_completed(futures):
                job = jobs[futures[future]]
                try:
                    result = future.result()
                except BrokenProcessPool:
                    left.append(job)
                else:
                    yield job, result
            ended = True
        finally:
            if not ended:  # Ctrl-C: a scene may take minutes, and what is half-built is removed by the next run
                for worker in set(multiprocessing.active_children()) - others:
                    worker.kill()
            pool.shutdown(wait=True, cancel_futures=True)
            if ended and not left:  # a killed worker may hold the queue for ever: then its listener is left behind
                events.put(None)
                listener.join()

    def _listen(self, events: Any) -> None:
        while (event := events.get()) is not None:
            self.progress(*event)


class RayCluster:
    """Jobs as Ray tasks; the workspace must be on a file system that all nodes share.

    Raises
    ------
    UsageError : the `ray` extra is not installed.
    """

    def __init__(self, address: str | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise UsageError("Ray is not installed", hint="pip install 'mcbench[ray]'") from error
        self._ray = ray
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)

    def map(self, function: Callable[[J, Progress], R], jobs: Sequence[J]) -> Iterator[tuple[J, R | WorkerDied]]:
        task = self._ray.remote(max_retries=1)(_without_progress)
        pending = {task.remote(function, job): index for index, job in enumerate(jobs)}
        while pending:
            (ready,), _ = self._ray.wait(list(pending), num_returns=1)
            job = jobs[pending.pop(ready)]
            try:
                yield job, self._ray.get(ready)
            except self._ray.exceptions.RayError as error:
                yield job, WorkerDied(str(error).splitlines()[0])


def _without_progress(function: Callable[[J, Progress], R], job: J) -> R:
    return function(job, no_progress)
