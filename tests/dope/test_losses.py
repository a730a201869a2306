"""Losses: known answers, and none for what nobody looked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_people as toy

from mcbench.dope.losses import (
    DopeLoss,
    LossSettings,
    RegionTargets,
    anchor_distribution,
    choose_regions,
    head_loss,
    match_anchors,
    proposal_loss,
    region_targets,
)
from mcbench.dope.network import Dope, DopeConfig
from mcbench.dope.targets import KindBatch, allowed, anchor_distances, image_targets


@pytest.fixture(scope="module")
def network() -> Dope:
    torch.manual_seed(0)
    made = Dope(DopeConfig())
    for kind in ("body", "hand", "face"):
        made.roi_heads.anchor_poses(kind).normal_(0, 0.3)
    return made


ALL = frozenset({"body", "hand", "face"})


def targets(kinds: frozenset[str] = ALL, number: int = 1) -> dict[str, KindBatch]:
    """Of two images: a toy picture labelled for some kinds, and one of nobody labelled for all."""
    images = [
        image_targets(toy.labelled(number).people, kinds, DopeConfig()),
        image_targets([], ALL if kinds == ALL else kinds, DopeConfig()),
    ]
    return {kind: KindBatch.of(kind, images) for kind in ("body", "hand", "face")}


def pixels(number: int = 1) -> torch.Tensor:
    image = np.zeros((160, 192, 3), np.uint8)
    image[:] = toy.labelled(number).image[:160, :192]
    both = np.stack([image, np.full_like(image, 90)])
    return torch.from_numpy(both).permute(0, 3, 1, 2)


def test_anchors_stand_for_parts_every_part_for_one() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20], [50, 50, 60, 60], [90, 90, 99, 99], [30, 30, 40, 40]])
    parts = torch.tensor([[[0.0, 0, 10, 10], [52, 52, 66, 66], [90, 90, 99, 99]]])
    real = torch.tensor([[True, True, False]])
    label, matched = match_anchors(
        anchors, parts, real, torch.tensor([[[28.0, 28, 44, 44], [0, 0, 0, 0]]]), LossSettings()
    )
    assert label.tolist() == [[1, 1, 1, 0, -1]]
    assert matched[0, [0, 2]].tolist() == [0, 1]


def test_regions_are_half_parts_at_most() -> None:
    settings = LossSettings()
    target = targets()["body"]
    proposals = torch.rand(2, 60, 2).repeat(1, 1, 2) * 100 + torch.tensor([0.0, 0.0, 9.0, 9.0])
    score = torch.full((2, 60), 0.5)
    chosen, real = choose_regions(proposals, torch.ones(2, 60, dtype=torch.bool), score, target, settings)
    assert chosen.shape == (2, settings.regions, 4) and real.all()
    said = region_targets("body", chosen, real, target, Dope(DopeConfig()), settings)
    hits = (said.share.sum(dim=1) > 0).view(2, -1).sum(dim=1)
    assert 0 < hits[0] <= settings.regions // 2 and hits[1] == 0
    some = torch.tensor([[True, False, True]] * 2)
    chosen, real = choose_regions(proposals[:, :3], some, score[:, :3], target, settings)
    parts = int(target.real[0].sum())
    assert real.sum(dim=1).tolist() == [2 + min(parts * (1 + settings.jitter), settings.regions - 2), 2]


def test_regions_that_look_like_parts_are_drawn_rather() -> None:
    target = targets()["body"]
    proposals = (1000.0 + 20 * torch.arange(100.0)).view(1, 100, 1) + torch.tensor([0.0, 0.0, 9.0, 9.0])
    score = (torch.arange(100) < 20).float().expand(2, 100)
    torch.manual_seed(0)
    chosen, _ = choose_regions(
        proposals.expand(2, 100, 4), torch.ones(2, 100, dtype=torch.bool), score, target, LossSettings(regions=20)
    )
    likely = (chosen[1, :, 0] - 1000) / 20 < 20  # the second image holds no part
    assert int(likely.sum()) >= 16


def test_a_part_is_nearest_to_itself_and_hands_have_a_side(network: Dope) -> None:
    found = targets()
    for kind, target in found.items():
        extent = (target.boxes[0, :, 2:] - target.boxes[0, :, :2])[:, None]
        flat = (target.pose2d[0] - target.boxes[0, :, None, :2]) / extent
        own = torch.cat([flat, target.pose3d[0]], dim=2)
        assert torch.allclose(anchor_distances(target, own)[0].diagonal(), torch.tensor(0.0), atol=1e-5), kind
    may = allowed("hand", found["hand"], network.config)
    left = torch.arange(10) >= network.config.left_from
    assert torch.equal(may, left == found["hand"].left[..., None])


def test_distillation_is_soft_and_without_it_the_nearest_alone_counts() -> None:
    distance = torch.tensor([[0.10, 0.15, 0.30]])
    may = torch.ones(1, 3, dtype=torch.bool)
    soft = anchor_distribution(distance, may, LossSettings(temperature=0.05))
    assert soft[0, 1] / soft[0, 0] == pytest.approx(np.exp(-1), rel=1e-4) and soft.sum() == pytest.approx(1)
    hard = anchor_distribution(distance, may, LossSettings(distillation=False))
    assert hard.tolist() == [[1.0, 0.0, 0.0]]
    barred = anchor_distribution(distance, torch.tensor([[False, True, True]]), LossSettings())
    assert barred[0, 0] == 0


def test_head_loss_of_known_answers() -> None:
    joints, classes = 3, 2
    asked = RegionTargets(
        classes=torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        counted=torch.tensor([1.0, 1.0, 0.0]),
        pose=torch.zeros(3, joints, 5),
        weight=torch.ones(3, joints, 5) * torch.tensor([1.0, 0.0, 0.0])[:, None, None],
        share=torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
    )
    logits = torch.tensor([[0.0, 50.0, 0.0], [50.0, 0.0, 0.0], [0.0, 50.0, 0.0]])  # the third is wrong, but not asked
    poses = torch.zeros(3, classes, joints, 5)
    perfect = head_loss("body", logits, poses, asked)
    assert perfect["body_class"] == pytest.approx(0) and perfect["body_pose"] == pytest.approx(0)
    poses[0, 0] = 0.2  # five times that is 1, where smooth L1 with a bend at 0.5 is 0.75
    assert head_loss("body", logits, poses, asked)["body_pose"] == pytest.approx(5 * 0.75)
    asked.weight[0, 1] = 0  # a joint of no confidence
    poses[0, 0, 1] = 7.0
    assert head_loss("body", logits, poses, asked)["body_pose"] == pytest.approx(5 * 0.75)


def test_what_nobody_looked_for_learns_nothing(network: Dope) -> None:
    network.zero_grad()
    terms = DopeLoss(network)(pixels(), targets(frozenset({"body"})))
    assert terms["body_class"] > 0 and terms["body_pose"] > 0
    assert all(terms[f"{kind}_{term}"] == 0 for kind in ("hand", "face") for term in ("class", "pose"))
    terms["loss"].backward()
    predictor = network.roi_heads.dope_predictor
    assert predictor.body_cls_score.weight.grad.abs().sum() > 0
    assert not predictor.hand_cls_score.weight.grad.any() and not predictor.face_pose_pred.weight.grad.any()
    objects = network.rpn.head.cls_logits.weight.grad.flatten(1).abs().sum(dim=1).view(3, -1).sum(dim=1)
    assert objects[0] > 0 and objects[1] == 0 and objects[2] == 0


def test_an_empty_picture_asks_for_background_alone(network: Dope) -> None:
    nobody = [image_targets([], ALL, network.config)] * 2
    terms = DopeLoss(network)(pixels(), {kind: KindBatch.of(kind, nobody) for kind in ALL})
    assert torch.isfinite(terms["loss"]) and terms["box"] == 0 and terms["body_pose"] == 0 and terms["proposal"] > 0


def test_hands_count_the_same_whatever_bodies_there_are(network: Dope) -> None:
    with torch.no_grad():
        _, raw = network.features(network.normalised(pixels().float() / 255))
        alone = [proposal_loss(network, raw, targets(frozenset({kind})), LossSettings()) for kind in ("body", "hand")]
        both = proposal_loss(network, raw, targets(frozenset({"body", "hand"})), LossSettings())
    for term in ("proposal", "box"):
        assert all(one[term] > 0 for one in alone)
        assert torch.isclose(both[term], alone[0][term] + alone[1][term])


def test_unknown_coordinates_ask_nothing() -> None:
    person = toy.labelled(1).people[0]
    assert person.body is not None
    person.body.pose3d[3] = np.nan
    person.body.pose2d[5] = np.nan
    target = image_targets([person], {"body"}, DopeConfig())["body"]
    assert torch.isfinite(target.pose3d).all() and torch.isfinite(target.pose2d).all()
    assert target.weight[0, 3].tolist() == [1, 1, 0, 0, 0] and target.weight[0, 5].tolist() == [0, 0, 1, 1, 1]


def test_a_hand_that_nobody_read_is_no_background() -> None:
    person = toy.labelled(1).people[0]
    assert person.left_hand is not None
    handless = replace(person, left_hand=None)
    asked = image_targets([handless], {"hand"}, DopeConfig())["hand"]
    assert len(asked.boxes) == 1 and len(asked.ignored) == 1
    middle = torch.from_numpy(person.left_hand.pose2d[0]).float()
    assert (asked.ignored[0, :2] < middle).all() and (middle < asked.ignored[0, 2:]).all()
    assert len(image_targets([person], {"hand"}, DopeConfig())["hand"].ignored) == 0
