"""What Pillow makes of small images, as JSON: where pillow-operations.json comes from.

    python pillow-operations.py > pillow-operations.json

Made with Pillow 9.4.0; hues with Python's colorsys in float64. Pixels are base64 of RGB rows.
"""

import base64
import colorsys
import json

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

WIDTH, HEIGHT = 24, 20


def images():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    smooth = np.stack(
        [
            127.5 + 100 * np.sin(x / 9) * np.cos(y / 7),
            40 + 180 * (x + y) / (WIDTH + HEIGHT),
            90 + 60 * np.cos((x - y) / 11),
        ],
        axis=2,
    )
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3))
    # Few values, of which the lightest is frequent: where equalizing overshoots 255 and where it does nothing.
    few = np.random.default_rng(2).choice([7, 80, 81, 200], (16, 18, 3), p=[0.6, 0.2, 0.15, 0.05])
    few[:, :, 2] = 33
    return {"smooth": smooth, "noise": noise, "few": few}


def rotated(image, degrees):
    """Clockwise, about the center."""
    return image.rotate(-degrees, resample=Image.BILINEAR)


def moved(image, matrix):
    """Where a pixel comes from, from center to center: x' = a·x + b·y + c, y' = d·x + e·y + f; Pillow counts from the corner."""
    a, b, c, d, e, f = matrix
    cx, cy = image.width / 2, image.height / 2
    corner = (a, b, c + cx - a * cx - b * cy, d, e, f + cy - d * cx - e * cy)
    return image.transform(image.size, Image.AFFINE, corner, resample=Image.BILINEAR)


def hue_turned(image, turn):
    def change(pixel):
        h, s, v = colorsys.rgb_to_hsv(*(value / 255 for value in pixel))
        return [round(value * 255) for value in colorsys.hsv_to_rgb((h + turn) % 1, s, v)]

    pixels = np.asarray(image).reshape(-1, 3).tolist()
    return np.array([change(pixel) for pixel in pixels], dtype=np.uint8)


OPERATIONS = {
    "posterize": (ImageOps.posterize, [1, 4, 7]),
    "solarize": (ImageOps.solarize, [0, 100, 256]),
    "auto-contrast": (lambda image, _: ImageOps.autocontrast(image), [0]),
    "equalize": (lambda image, _: ImageOps.equalize(image), [0]),
    "brightness": (lambda image, factor: ImageEnhance.Brightness(image).enhance(factor), [0.3, 1.7]),
    "color": (lambda image, factor: ImageEnhance.Color(image).enhance(factor), [0.3, 1.7]),
    "contrast": (lambda image, factor: ImageEnhance.Contrast(image).enhance(factor), [0.3, 1.7]),
    "sharpness": (lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor), [0.1, 1.9]),
    "hue": (hue_turned, [-0.3, 0.1]),
}
MOVES = {
    "rotate": (rotated, [-13, 30]),
    "shear-x": (lambda image, share: moved(image, (1, share, 0, 0, 1, 0)), [0.2]),
    "shear-y": (lambda image, share: moved(image, (1, 0, 0, share, 1, 0)), [-0.3]),
    "translate-x": (lambda image, share: moved(image, (1, 0, -share * image.width, 0, 1, 0)), [0.33]),
    "translate-y": (lambda image, share: moved(image, (1, 0, 0, 0, 1, -share * image.height)), [-0.21]),
}


def encode(image):
    return base64.b64encode(np.asarray(image, dtype=np.uint8).tobytes()).decode()


images = {name: Image.fromarray(pixels.astype(np.uint8)) for name, pixels in images().items()}
results = []
for name, (change, arguments) in OPERATIONS.items():
    for argument in arguments:
        for image, image in images.items():
            if image == "smooth" and name not in ("hue", "auto-contrast", "equalize", "sharpness"):
                continue
            results.append({"operation": name, "argument": argument, "image": image, "pixels": encode(change(image, argument))})
for name, (change, arguments) in MOVES.items():
    for argument in arguments:
        results.append({"operation": name, "argument": argument, "image": "smooth", "pixels": encode(change(images["smooth"], argument))})
sources = {name: {"width": image.width, "height": image.height, "pixels": encode(image)} for name, image in images.items()}
print(json.dumps({"images": sources, "results": results}, indent=1))
