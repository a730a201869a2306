"""Augmentation: labels follow the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import toy_people as toy

from mcbench.dope.augmentation import GREY, PLAIN, AugmentationSettings, Augmented, augment, mirrored
from mcbench.dope.people import WholeBody
from mcbench.joints import DOPE13

GEOMETRY = AugmentationSettings(colour=0.0, cut=0.0, blur=0.0)


def one_person() -> WholeBody:
    return toy.person(np.array([60.0, 30.0, 130.0, 170.0]), np.random.default_rng(0))


def test_joints_stay_on_what_they_marked() -> None:
    person = one_person()
    assert person.body is not None
    image = np.zeros((200, 240, 3), dtype=np.uint8)
    head, foot = DOPE13.index("head"), DOPE13.index("left_ankle")
    for joint, channel in ((head, 0), (foot, 1)):
        x, y = person.body.pose2d[joint]
        # a patch whose middle is the joint, as nearly as whole pixels allow
        image[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4, channel] = 255
    seen = 0
    for seed in range(30):
        view = augment(image, [person], 256, np.random.default_rng(seed), GEOMETRY)
        if not view.people or view.people[0].body is None:
            continue
        body = view.people[0].body
        for joint, channel in ((head, 0), (foot, 1)):
            weight = np.where(view.image[..., channel] > GREY + 40, view.image[..., channel], 0).astype(float)
            if body.confidence[joint] > 0 and weight.sum() > 255 * 20:
                y, x = np.mgrid[:256, :256] + 0.5
                middle = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
                # a mirror image calls the left ankle the right one
                other = DOPE13.flip[joint]
                gap = min(np.linalg.norm(middle - body.pose2d[j]) for j in (joint, other))
                inside = (middle > 12).all() and (middle < 244).all()
                assert gap < 2.5 or not inside
                seen += 1
    assert seen > 15


def test_the_picture_turns_with_the_3d() -> None:
    """A body that was seen by weak perspective still is: its 2D is its 3D, scaled and shifted."""
    person = one_person()
    assert person.body is not None
    deep = person.body.pose3d
    flat = replace(person.body, pose2d=80 * deep[:, :2] + [100, 90], box=np.array([40.0, 20.0, 160.0, 180.0]))
    for seed in range(10):
        view = augment(
            np.zeros((200, 240, 3), np.uint8),
            [WholeBody.of({"body": flat})],
            256,
            np.random.default_rng(seed),
            GEOMETRY,
        )
        for moved in view.people:
            assert moved.body is not None
            a, b = moved.body.pose3d[:, :2], moved.body.pose2d
            a, b = a - a.mean(axis=0), b - b.mean(axis=0)
            scale = (a * b).sum() / (a * a).sum()
            np.testing.assert_allclose(b, scale * a, atol=1e-6)


def test_a_mirror_image_of_a_mirror_image_is_the_person() -> None:
    person = one_person()
    once, twice = mirrored(person, 240), mirrored(mirrored(person, 240), 240)
    assert once.left_hand is not None and person.right_hand is not None
    np.testing.assert_allclose(once.left_hand.pose2d[:, 0], 240 - person.right_hand.pose2d[:, 0])
    for name, part in person.parts.items():
        for field in ("pose2d", "pose3d", "confidence", "box"):
            np.testing.assert_allclose(getattr(twice.parts[name], field), getattr(part, field))


def test_plain_views_fit_the_picture_into_the_middle() -> None:
    image = np.full((100, 200, 3), 250, dtype=np.uint8)
    view = augment(image, [], 256, np.random.default_rng(0), PLAIN)
    assert (view.image[64 + 2 : 192 - 2, 2:-2] == 250).all() and (view.image[:62] == GREY).all()


def test_what_is_cut_off_is_ignored_and_what_is_outside_is_unknown() -> None:
    rng = np.random.default_rng(0)
    away = WholeBody.of({"body": toy.body(np.array([-65.0, 30.0, 5.0, 170.0]), rng)})
    gone = WholeBody.of({"body": toy.body(np.array([-165.0, 30.0, -95.0, 170.0]), rng)})
    half = WholeBody.of({"body": toy.body(np.array([-20.0, 30.0, 50.0, 170.0]), rng)})
    view = augment(np.zeros((256, 256, 3), np.uint8), [away, gone, half], 256, rng, PLAIN)
    assert len(view.ignored["body"]) == 1 and len(view.people) == 1
    body = view.people[0].body
    assert body is not None and body.box[0] == 0
    outside = body.pose2d[:, 0] < 0
    assert outside.any() and (body.confidence[outside] == 0).all() and (body.confidence[~outside] > 0).all()


def test_colour_and_patches_leave_the_joints() -> None:
    settings = replace(PLAIN, colour=0.4, cut=1.0, blur=1.0)
    labelled = toy.labelled(3)
    plain = augment(labelled.image, labelled.people, 192, np.random.default_rng(1), PLAIN)
    view = augment(labelled.image, labelled.people, 192, np.random.default_rng(1), settings)
    assert np.abs(view.image.astype(int) - plain.image).mean() > 2
    for one, other in zip(view.people, plain.people, strict=True):
        assert one.body is not None and other.body is not None
        np.testing.assert_array_equal(one.body.pose2d, other.body.pose2d)
        assert (one.body.confidence <= other.body.confidence).all()


def test_views_round_a_part_show_it_at_a_size_to_learn_from() -> None:
    person = one_person()
    settings = replace(PLAIN, near=1.0)
    plain = replace(PLAIN, near=0.0)
    image = np.zeros((1000, 1600, 3), np.uint8)
    small = [augment(image, [person], 256, np.random.default_rng(s), plain) for s in range(40)]
    near = [augment(image, [person], 256, np.random.default_rng(s), settings) for s in range(40)]

    def hands(views: list[Augmented]) -> list[float]:
        return [part.size for v in views for p in v.people for name, part in p.parts.items() if "hand" in name]

    assert max(hands(small), default=0.0) < 12 < np.median(hands(near)) < 60
    # never far beyond what the image resolves
    assert max(hands(near)) <= 1.2 * max(part.size for name, part in person.parts.items() if "hand" in name) + 1e-6
    assert not augment(image, [], 256, np.random.default_rng(0), settings).people
