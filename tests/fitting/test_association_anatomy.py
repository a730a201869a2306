import numpy as np
import pytest

from mcbench.fitting.association_anatomy import has_body_proportions, limb_log_ratios
from mcbench.joints import joint_set

COCO = joint_set("coco17")


def stick_figure(scale: float = 1.0) -> np.ndarray:
    """A T-pose of usual proportions (17, 3)."""
    points = np.zeros((17, 3))
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        for joint, x, z in (
            ("shoulder", 0.18, 1.40),
            ("elbow", 0.46, 1.40),
            ("wrist", 0.71, 1.40),
            ("hip", 0.18, 0.90),
            ("knee", 0.18, 0.48),
            ("ankle", 0.18, 0.07),
        ):
            points[COCO.index(side + joint)] = [sign * x, 0.0, z]
    return points * scale


@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0])
def test_size_does_not_matter(scale):
    ratios = limb_log_ratios(stick_figure(scale), COCO)
    np.testing.assert_allclose(ratios, np.log(scale), atol=1e-9)
    assert len(ratios) == 10
    assert has_body_proportions(stick_figure(scale), COCO, spread=1e-6)


def test_a_random_figure_is_no_body():
    rng = np.random.default_rng(0)
    figures = rng.normal(0, 0.5, (200, 17, 3))
    assert np.mean([has_body_proportions(figure, COCO, spread=0.25) for figure in figures]) < 0.25


def test_little_known_proves_nothing():
    points = np.random.default_rng(1).normal(size=(17, 3))
    points[COCO.index("left_hip") :] = np.nan
    assert len(limb_log_ratios(points, COCO)) == 4
    assert has_body_proportions(points, COCO, spread=0.0)
