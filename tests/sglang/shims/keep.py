"""A mistake made on purpose, where $KEEP_PIXEL_VALUES is set: the scheduler keeps the pixel values of every
request, as it once did (SGLang's pull request 7340)."""

import os

kept = []


def keep_pixel_values(qwen2_5_vl):
    if not os.environ.get("KEEP_PIXEL_VALUES"):
        return
    model = qwen2_5_vl.Qwen2_5_VLForConditionalGeneration
    get_image_feature = model.get_image_feature

    def keeping(self, items):
        kept.extend(item.feature for item in items)
        return get_image_feature(self, items)

    model.get_image_feature = keeping
