"""Image captioning: describes an image in a sentence."""

from json import dumps
from pathlib import Path

from ..shared.console import Stopwatch, progress
from ..shared.errors import UsageError
from ..shared.verbs import report


def evaluate(
    model: str, *, data: str | None = None, split: str = "test", strict: bool = False, **search: object
) -> None:
    """Scores a model's captions of a split against the reference captions.

    Prints one line of JSON: BLEU-1 to BLEU-4, ROUGE-L and CIDEr-D by the formulas of coco-caption (`cider_d` is what
    papers call CIDEr; `cider` is its first version, without clipping), the numbers of distinct captions, words and
    images, and the speed from image files to captions. For the generated images `shapes` also `true`, the fraction of
    captions that are true of their scene.

    Args:
        model: Folder of the trained model.
        data: Data set to evaluate on: a folder or a TFDS name. The default is the data set of the training.
        split: Split to evaluate on.
        strict: Stop at the first image that is missing, broken or without a caption, instead of skipping it.
        **search: Options of the search, which replace those of the training.
    """
    from ...datasets.shapes.captions import is_true
    from ...datasets.shapes.scene import Scene
    from ..shared.training.splits import evaluated_split
    from .data import read
    from .metrics import caption_metrics
    from .model import Captioner

    captioner = Captioner.load(model, strict=strict, **search)
    examples = evaluated_split(read, captioner.config, split, data)
    images = [example.image for example in examples]
    captioner.caption([images[0].read()])  # traces the graph, so that the speed does not include it
    with Stopwatch() as watch:
        captions = [
            caption.text for caption in progress(captioner.caption_many(images), len(images), "captioning images")
        ]
    metrics = caption_metrics(captions, [example.captions for example in examples])
    if all(example.scene for example in examples):
        scenes = (Scene.from_json(example.scene) for example in examples)
        metrics["true"] = sum(map(is_true, captions, scenes)) / len(captions)
    speed = {"images": len(captions), "images_per_second": round(len(captions) / watch.seconds, 1)}
    report(model, split, {**metrics, **speed}, data)


def predict(model: str, *images: str, json: bool = False, figure: str | None = None, **search: object) -> None:
    """Captions images.

    Prints one line per image: the caption, or for several images the file and the caption, separated by a tab. A file
    that cannot be read is reported, and the rest are captioned.

    Args:
        model: Folder of the trained model.
        *images: Image files, or folders of images. The formats are JPEG, PNG, GIF, BMP, WebP, TIFF and PPM.
        json: Print a line of JSON per image with `image` and all `captions` that the search finds, each with `text`,
            `score`, `tokens` and `alignment`, the attention of each token to the cells of the feature map.
        figure: Image file, such as caption.png, for a figure of the first readable image with its caption and the
            attention for each token.
        **search: Options of the search, which replace those of the training.
    """
    from ...datasets.images import Image
    from ..shared.figures import check_picture
    from ..shared.images.pixels import decode
    from ..shared.images.usable import attempt_each
    from ..shared.text.tokenizers import END, SPECIAL, display_form
    from .figures import draw_caption
    from .model import Captioner

    files = []
    for path in map(Path, images):
        files += sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise UsageError("no image to caption; give files or folders")
    if figure is not None:
        check_picture(figure)
    captioner = Captioner.load(model, **search)

    def explain(file):
        content = Image(str(file), file).read()
        return content, *captioner.explain([content])

    for file, (content, captions) in attempt_each(explain, files, str, "files could not be captioned"):
        text = captions[0]["text"]
        if json:
            line = dumps({"image": str(file), "captions": captions}, ensure_ascii=False)
        else:
            line = text if len(files) == 1 else f"{file}\t{text}"
        print(line, flush=True)
        if figure is not None:
            words = [display_form(token) for token in captions[0]["tokens"] if token != SPECIAL[END]]
            draw_caption(decode(content), {**captions[0], "tokens": words}, captioner.grid, figure)
            figure = None  # only the first image is drawn


VERBS = (evaluate, predict)
