"""mcbench: videos of people holding still become a validated benchmark of 3D human pose and shape."""

__version__ = "0.1.0"
