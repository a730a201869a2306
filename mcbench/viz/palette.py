"""Colours of people in pictures and plots: the same person has the same colour in both."""

from __future__ import annotations

#: RGB in 0..255, told apart by colour-blind readers too (after Okabe and Ito), and on photographs.
PEOPLE = (
    (0, 158, 225),
    (240, 150, 0),
    (0, 175, 120),
    (225, 105, 175),
    (235, 220, 60),
    (225, 85, 20),
    (120, 100, 225),
    (130, 205, 60),
)
REJECTED = (175, 175, 175)
UNASSIGNED = (255, 255, 255)


def person_colour(person: int, accepted: bool = True) -> tuple[int, int, int]:
    """RGB of the person of this index; grey for who was rejected."""
    return PEOPLE[person % len(PEOPLE)] if accepted else REJECTED


def hex_colour(rgb: tuple[int, int, int]) -> str:
    """`#rrggbb`, as HTML and matplotlib read it."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)
