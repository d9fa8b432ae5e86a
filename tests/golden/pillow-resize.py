"""Images of a formula brought to size by Pillow: python3 pillow-resize.py > pillow-resize.json

Center crops are torchvision's: int(round(overhang / 2)), halves to the even number.
"""

import base64
import json
import sys

from PIL import Image, __version__

FILTERS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}


def image(height, width):
    pixels = bytearray()
    state = 1
    for _ in range(height * width * 3):
        state = (state * 1103515245 + 12345) % 2**31
        pixels.append(state >> 16 & 255)
    return Image.frombytes("RGB", (width, height), bytes(pixels))


def crop(image, height, width):
    top, left = int(round((image.height - height) / 2)), int(round((image.width - width) / 2))
    return image.crop((left, top, left + width, top + height))


def prepare(image, height, width, interpolation, fit, crop_ratio, background):
    rows, columns = int(height / crop_ratio), int(width / crop_ratio)
    to = lambda h, w: image.resize((w, h), FILTERS[interpolation])
    if fit == "fill":
        return crop(to(rows, columns), height, width)
    if fit == "cover":
        sized = to(
            max(rows, columns * image.height // image.width), max(columns, rows * image.width // image.height)
        )
        return crop(sized, height, width)
    inside = [
        max(1, min(rows, (2 * columns * image.height + image.width) // (2 * image.width))),
        max(1, min(columns, (2 * rows * image.width + image.height) // (2 * image.height))),
    ]
    canvas = Image.new("RGB", (columns, rows), tuple(background))
    canvas.paste(to(*inside), ((columns - inside[1]) // 2, (rows - inside[0]) // 2))
    return crop(canvas, height, width)


cases = []
for shape in [(23, 31), (9, 7), (13, 11), (64, 40), (150, 333), (1, 5), (401, 17)]:
    for interpolation in FILTERS:
        for fit, crop_ratio in [("fill", 1), ("cover", 1), ("contain", 1), ("fill", 0.875), ("cover", 0.8), ("contain", 0.9)]:
            background = [200, 100, 7]
            sized = prepare(image(*shape), 13, 11, interpolation, fit, crop_ratio, background)
            cases.append(
                {
                    "shape": shape,
                    "interpolation": interpolation,
                    "fit": fit,
                    "cropRatio": crop_ratio,
                    "background": background,
                    "pixels": base64.b64encode(sized.tobytes()).decode(),
                }
            )
json.dump({"pillow": __version__, "size": [13, 11], "cases": cases}, sys.stdout, indent=1)
