"""Synthetic people: Denavit-Hartenberg bodies that move within human joint limits, and a detector's errors."""

from liftpose.data.synthetic.actions import TAKES
from liftpose.data.synthetic.body import Person, Style, make_person
from liftpose.data.synthetic.noise import DetectorNoise, detector_noise
from liftpose.data.synthetic.people import CAPTURE_CENTRE, SPLITS, synthetic_people, synthetic_take
from liftpose.data.synthetic.signals import derive_generator

__all__ = [
    "CAPTURE_CENTRE",
    "SPLITS",
    "TAKES",
    "DetectorNoise",
    "Person",
    "Style",
    "derive_generator",
    "detector_noise",
    "make_person",
    "synthetic_people",
    "synthetic_take",
]
