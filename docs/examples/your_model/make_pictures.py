"""Draws 120 circles, 120 squares and 120 triangles into the folder `shapes`."""

import random
from pathlib import Path

from PIL import Image, ImageDraw

draw_random = random.Random(0)
for kind, sides in {"circle": 40, "square": 4, "triangle": 3}.items():
    folder = Path("shapes", kind)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(120):
        picture = Image.new("RGB", (32, 32), tuple(draw_random.choices(range(100), k=3)))
        place = (draw_random.randint(12, 20), draw_random.randint(12, 20), draw_random.randint(7, 11))
        color = tuple(draw_random.choices(range(150, 256), k=3))
        turn = draw_random.randint(0, 359)
        ImageDraw.Draw(picture).regular_polygon(place, sides, rotation=turn, fill=color)
        picture.save(folder / f"{number:03}.png")
