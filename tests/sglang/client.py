"""Requests that a client sends, each with a name from which the server on the virtual GPU draws its answer."""

import base64
import io
import random

from PIL import Image


def requests(count, seed=0, images=True):
    """`count` chat requests, every second with an image. Over a hundred of them texts and images grow,
    then again from the start with other sizes."""
    draw = random.Random(seed)
    for number in range(count):
        step = number % 100
        content = [{"type": "text", "text": "word " * (5 + step * 2 + draw.randrange(2))}]
        if images and number % 2:
            width, height = 224 + 14 * step + draw.randrange(14), 168 + 12 * step + draw.randrange(12)
            content.insert(0, {"type": "image_url", "image_url": {"url": picture(width, height)}})
        yield {
            "model": "model",
            "rid": f"request-{seed}-{number}",
            "max_tokens": 8 + draw.randrange(56),
            "temperature": 0.7,
            "messages": [{"role": "user", "content": content}],
        }


def picture(width, height):
    """A PNG of one colour, as the URL that carries it. No two sizes have the same colour."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (width % 256, height % 256, width // 256)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
