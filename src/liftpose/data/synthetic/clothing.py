"""What the synthetic people wear: bands of colour along each shape of the body, other ones in front than behind."""

from __future__ import annotations

import colorsys
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.data.synthetic.shapes import SHAPES
from liftpose.data.synthetic.signals import FloatArray, derive_generator

__all__ = ["SECTORS", "Outfit", "dress"]

SECTORS: Final = 3
"""Back and sides, front, and the middle of the front."""

Colour = tuple[float, float, float]
_Part = tuple[list[float], list[list[Colour]]]  # bounds, and for each sector the colours of its bands
_SKIN: Final[tuple[Colour, ...]] = (
    (244, 208, 184), (232, 186, 156), (214, 164, 130), (188, 134, 98), (146, 98, 68), (104, 68, 48), (76, 50, 38),
)  # fmt: skip
_HAIR: Final[tuple[Colour, ...]] = (
    (26, 22, 20), (48, 34, 26), (82, 56, 36), (124, 84, 48), (190, 150, 88), (222, 194, 138), (150, 148, 146),
    (138, 62, 34),
)  # fmt: skip
# All clothes and limbs are darker and bluer behind than in front. Without that a network has only faces of a few pixels
# to tell which way somebody looks, and with it left from right, and needs far more pictures than a CPU can go through.
_DARK: Final[Colour] = (8, 18, 90)
_SHADE: Final = 0.6
_LIGHT: Final[Colour] = (255, 232, 160)
_GLEAM: Final = 0.35
_BARE: Final = ("head", "hair", "nose")


class Outfit(NamedTuple):
    """Colours of all shapes in the order ``SHAPES``.

    Attributes:
        bounds: For each shape the shares of its length, ascending, at which its bands end: K - 1 numbers for K bands.
        colours: For each shape (SECTORS * K, 3) RGB from 0 to 255: the K bands of the back, of the front and of its
            middle.
        sectors: (P, 2) cosines between the surface's normal and the front from which front and middle begin.
    """

    bounds: tuple[npt.NDArray[np.float32], ...]
    colours: tuple[npt.NDArray[np.float32], ...]
    sectors: FloatArray


def dress(seed: int, person: str, take: str) -> Outfit:
    """Return the clothes that somebody wears in a take; skin and hair are the same in all of their takes.

    Left and right are dressed alike but for things that people wear on one side, such as a band round one wrist, which
    may be on either.

    Args:
        seed: Seed of the data set.
        person: Name of the subject.
        take: Name of the take.
    """
    own = derive_generator(seed, person, "skin and hair")
    skin = _vary(own, _SKIN[own.integers(len(_SKIN))], 8.0)
    hair = _vary(own, _HAIR[own.integers(len(_HAIR))], 8.0)
    rng = derive_generator(seed, person, take, "clothes")
    parts: dict[str, _Part] = {}
    sectors = np.full((len(SHAPES), 2), (0.3, 0.9))
    _head(parts, rng, skin, hair)
    _top(parts, rng, skin)
    _trousers(parts, rng, skin)
    sectors[[SHAPES.index("head")]] = (0.12, 0.68)
    sectors[[SHAPES.index(name) for name in ("chest", "belly", "neck")]] = (0.12, rng.choice((0.90, 0.94, 0.965)))
    for name in SHAPES:
        if name not in _BARE:
            back, *front = parts[name][1]
            shaded = [[_mixed(colour, _DARK, _SHADE) for colour in back]]
            lit = [[_mixed(colour, _LIGHT, _GLEAM) for colour in row] for row in front]
            parts[name] = parts[name][0], shaded + lit
    bounds = tuple(np.asarray(parts[name][0], np.float32) for name in SHAPES)
    colours = tuple(np.asarray(parts[name][1], np.float32).reshape(-1, 3) for name in SHAPES)
    return Outfit(bounds, colours, sectors)


def _plain(colour: Colour) -> _Part:
    """Return one band of one colour all round."""
    return [], [[colour]] * SECTORS


def _bands(bounds: list[float], colours: list[Colour]) -> _Part:
    """Return bands that go all round."""
    return bounds, [colours] * SECTORS


def _cloth(rng: np.random.Generator) -> Colour:
    """Return a colour of cloth: any hue, often muted, from nearly black to white."""
    saturation = rng.choice((rng.uniform(0.0, 0.15), rng.uniform(0.25, 0.6), rng.uniform(0.6, 0.95)))
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.12, 1.0))
    return 255 * red, 255 * green, 255 * blue


def _vary(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """Return a colour near another one."""
    red, green, blue = np.clip(np.asarray(colour) + rng.normal(0.0, spread, 3) * 0.4 + rng.normal(0.0, spread), 6, 252)
    return float(red), float(green), float(blue)


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return a mixture with a share of the second colour."""
    red, green, blue = ((1.0 - share) * a + share * b for a, b in zip(first, second, strict=True))
    return red, green, blue


def _head(parts: dict[str, _Part], rng: np.random.Generator, skin: Colour, hair: Colour) -> None:
    """Give the head a face in front and hair behind, perhaps under a cap."""
    dark, lips = _mixed(skin, (30, 20, 20), 0.75), _mixed(skin, (170, 40, 50), 0.5)
    beard = _mixed(skin, hair, 0.7) if rng.random() < 0.25 else skin
    # Bands from the jaw to the eyes; all of the skull above them is the last one, and mostly under the hair.
    parts["head"] = (
        [0.08, 0.24, 0.78, 0.96],
        [
            [_mixed(skin, hair, 0.3), hair, hair, hair, hair],
            [beard, beard, skin, skin, skin],
            [beard, lips, skin, dark, skin],
        ],
    )
    parts["hair"] = _bands([0.02], [_cloth(rng) if rng.random() < 0.2 else hair, hair])
    parts["nose"] = _plain(_mixed(skin, (255, 190, 170), 0.15))
    parts["neck"] = [0.2], [[skin, skin], [skin, skin], [skin, skin]]


def _top(parts: dict[str, _Part], rng: np.random.Generator, skin: Colour) -> None:
    """Dress trunk and arms: a shirt, plain or striped, with a print, or a jacket that is open in front."""
    main, second = _cloth(rng), _cloth(rng)
    style = rng.choice(("plain", "print", "stripes", "jacket", "yoke"), p=(0.2, 0.25, 0.2, 0.25, 0.1))
    sleeves = float(rng.choice((0.0, 0.45, 0.6, 1.0, 2.0), p=(0.1, 0.2, 0.25, 0.1, 0.35)))
    stripes = style == "stripes"
    belly = chest = _plain(main)
    arm = main
    if stripes:
        count = int(rng.integers(3, 6))
        edges = [(i + 1) / (2 * count) for i in range(2 * count - 1)]
        belly = chest = _bands(edges, [main, second] * count)
    elif style == "print":
        chest = [0.15, 0.85], [[main] * 3, [main] * 3, [main, second, main]]
    elif style == "jacket":
        belly = chest = [], [[main], [main], [second]]
    elif style == "yoke":
        chest = _bands([0.6], [main, second])
        arm = second
    parts["belly"], parts["chest"] = belly, chest
    collar = skin if rng.random() < 0.6 else main
    for side in ("right", "left"):
        bare = sleeves == 0.0
        yoke = second if style == "yoke" else main
        parts[f"{side}_yoke"] = [0.12], [[yoke, yoke], [yoke, yoke], [collar if not stripes else skin, yoke]]
        upper = min(sleeves, 1.0)
        if bare:
            parts[f"{side}_upper_arm"] = _plain(skin)
        elif stripes and sleeves >= 1.0:
            parts[f"{side}_upper_arm"] = _bands([0.2, 0.4, 0.6, 0.8], [main, second, main, second, main])
        else:
            parts[f"{side}_upper_arm"] = _bands([upper], [arm, skin])
        lower = float(np.clip(sleeves - 1.0, 0.0, 0.93))
        parts[f"{side}_forearm"] = _bands([lower], [arm, skin])
        parts[f"{side}_hand"] = _plain(skin)
    side = str(rng.choice(("right", "left")))
    match rng.choice(("nothing", "wrist", "sleeve", "gloves"), p=(0.7, 0.15, 0.05, 0.1)):
        case "wrist":
            parts[f"{side}_forearm"] = _bands([min(lower, 0.75), 0.8, 0.97], [arm, skin, second, skin])
        case "sleeve":
            parts[f"{side}_upper_arm"] = _bands([max(upper, 0.5)], [second, skin])
        case "gloves":
            for hand in ("right_hand", "left_hand"):
                parts[hand] = _plain(second)


def _trousers(parts: dict[str, _Part], rng: np.random.Generator, skin: Colour) -> None:
    """Dress the legs: shorts or trousers, shoes with soles, sometimes socks."""
    main, shoe = _vary(rng, _cloth(rng), 4.0), _cloth(rng)
    length = float(rng.choice((0.45, 0.75, 1.35, 2.0), p=(0.15, 0.2, 0.1, 0.55)))
    sock = float(rng.choice((1.0, 0.8, 0.5), p=(0.5, 0.3, 0.2)))
    socks = _cloth(rng) if rng.random() < 0.5 else (235.0, 235.0, 232.0)
    stripe = _cloth(rng) if rng.random() < 0.2 else main
    belt = _mixed(main, (40, 26, 18), 0.8) if rng.random() < 0.4 else main
    parts["hips"] = _plain(main)
    belly_bounds, belly = parts["belly"]
    tucked = float(rng.choice((0.06, 0.25)))
    kept = [bound for bound in belly_bounds if bound > tucked + 0.1]
    parts["belly"] = (
        [max(tucked - 0.15, 0.01), tucked, *kept],
        [[main, belt, *row[len(row) - len(kept) - 1 :]] for row in belly],
    )
    for side in ("right", "left"):
        parts[f"{side}_thigh"] = [min(length, 1.0)], [[main, skin], [main, skin], [stripe, skin]]
        shin = float(np.clip(length - 1.0, 0.0, 0.97))
        parts[f"{side}_shin"] = _bands([shin, max(shin, sock)], [main, skin, socks])
        parts[f"{side}_foot"] = (
            [0.75],
            [[shoe, shoe], [shoe, _mixed(shoe, (255, 255, 255), 0.4)], [_mixed(shoe, (255, 255, 255), 0.4)] * 2],
        )
