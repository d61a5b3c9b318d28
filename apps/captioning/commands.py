"""Says in a sentence what is in a picture, with a convolutional network and a recurrent one."""

from json import dumps
from pathlib import Path

from ..shared.console import Stopwatch, progress
from ..shared.errors import UsageError
from ..shared.verbs import report


def evaluate(model: str, *, data: str | None = None, split: str = "test", strict: bool = False, **search):
    """Scores a model's captions of a split against its references.

    Ends with one line of JSON: BLEU-1 to 4, ROUGE-L and CIDEr-D by coco-caption's formulas (CIDEr-D is what papers call
    CIDEr; `cider` is its first form, which does not clip counts), how many captions are distinct, the words used, the
    images, and the speed from encoded images to captions. Of generated pictures also `true`, the share of captions that
    are true of their scene.

    Args:
        model: The model's folder.
        data: A folder or a TFDS name; the default is what the model was trained on.
        split: The split to caption.
        strict: Stop at the first image that is missing, broken or without a caption, instead of leaving it out.
        **search: Options of the search, in place of those that the model was trained with.
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
    captioner.caption([images[0].read()])  # builds the graph
    with Stopwatch() as watch:
        answers = [
            caption.text for caption in progress(captioner.caption_many(images), len(images), "captioning images")
        ]
    metrics = caption_metrics(answers, [example.captions for example in examples])
    if all(example.scene for example in examples):
        scenes = (Scene.from_json(example.scene) for example in examples)
        metrics["true"] = sum(map(is_true, answers, scenes)) / len(answers)
    speed = {"images": len(answers), "images_per_second": round(len(answers) / watch.seconds, 1)}
    report(model, split, {**metrics, **speed}, data)


def predict(model: str, *images: str, json: bool = False, figure: str | None = None, **search):
    """Captions images, a line each: the caption, and of several images before it the file and a tab.

    Args:
        model: The model's folder.
        *images: Files of images in any format that Pillow reads, or folders with them.
        json: Instead of the best caption, print a line of JSON for an image: its `image`, and for each of its
            `captions` the `text`, the `score`, its `tokens`, and their `alignment` with the cells of the feature map.
        figure: A file such as `caption.png`, to draw the first readable image into with its caption, and with attention
            where the model looked for each word.
        **search: Options of the search, in place of those that the model was trained with.
    """
    from ..shared.figures import check_picture
    from ..shared.images.pixels import decode
    from ..shared.images.usable import attempted
    from ..shared.text.tokenizers import END, SPECIAL, display_form
    from .figures import draw_caption
    from .model import Captioner

    files = []
    for path in map(Path, images):
        files += sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise UsageError("there is no image to caption: name files or folders")
    if figure is not None:
        check_picture(figure)
    captioner = Captioner.load(model, **search)

    def caption(file):
        content = file.read_bytes()
        return content, *captioner.explain([content])

    for file, (content, captions) in attempted(caption, files, str, "files could not be captioned"):
        line = dumps({"image": str(file), "captions": captions}, ensure_ascii=False)
        text = captions[0]["text"]
        plain = text if len(files) == 1 else f"{file}\t{text}"
        print(line if json else plain, flush=True)
        if figure is not None:
            words = [display_form(token) for token in captions[0]["tokens"] if token != SPECIAL[END]]
            draw_caption(decode(content), {**captions[0], "tokens": words}, captioner.grid, figure)
            figure = None  # of the first image only


VERBS = (evaluate, predict)
