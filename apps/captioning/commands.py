"""Image captioning: describes an image in a sentence."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from json import dumps
from pathlib import Path
from typing import Any, Literal

from ...datasets.images import CaptionedImage
from ..shared.errors import UsageError
from ..shared.evaluation import EvaluationOptions, evaluate_examples, report
from ..shared.memory import BATCH
from ..shared.remarks import collect_remarks
from ..shared.verbs import Streaming, check_drawing, map_usable, stream


def evaluate(
    model: str,
    *,
    data: str | None = None,
    split: str = "test",
    strict: bool = False,
    baseline: Literal["commonest", "nearest"] | None = None,
    evaluation: EvaluationOptions,
    **search: Any,
) -> None:
    """Scores a model's captions of a split against the reference captions.

    Prints a table on standard error and one line of JSON on standard output: BLEU-1 to BLEU-4, ROUGE-L and CIDEr-D by
    the formulas of coco-caption (`cider_d` is what papers call CIDEr; `cider` is its first version, without clipping),
    the numbers of distinct captions, words and images, and the speed from image files to captions. For the generated
    images `shapes` also `true`, the fraction of captions that are true of their scene. CIDEr always weights n-grams by
    their frequency in the whole split.

    Each line of --output is the name of an image, a tab and the caption. The references are in memory; images,
    captions and n-grams are not, except for the distinct ones.

    Args:
        model: Folder or name of the model.
        data: Data set to evaluate on: a folder or a TFDS name. The default is the data set of the training.
        split: Split to evaluate on.
        strict: Stop at the first image that is missing, broken or without a caption, instead of skipping it.
        baseline: Also score captions of the training images: the most common one for all images (commonest), or that of
            the image with the most similar features of the backbone (nearest).
        evaluation: Options of large splits.
        **search: Options of the search, which replace those of the training.
    """
    from ..shared.training.splits import evaluated_split
    from .baseline import NAMES, baseline_of
    from .data import read
    from .evaluation import SplitMetrics
    from .model import Captioner

    captioner = Captioner.load(model, strict=strict, **search)
    examples = evaluated_split(read, captioner.config, split, data)
    metrics, baseline_metrics = SplitMetrics(examples), SplitMetrics(examples if baseline else ())
    baseline_captions = baseline and baseline_of(captioner, baseline)
    if evaluation.predictions is None:
        captioner.caption([examples[0].image.read()])  # traces the graph, so that the speed does not include it

    def predict(
        examples: Iterator[CaptionedImage], advance: Callable[[int], None]
    ) -> Iterator[tuple[list[CaptionedImage], list[str]]]:
        examples, read_ahead = itertools.tee(examples)
        captions = iter(captioner.caption_many(example.image for example in read_ahead))
        while texts := [caption.text for caption in itertools.islice(captions, BATCH)]:
            advance(len(texts))
            yield [*itertools.islice(examples, len(texts))], texts

    def update(batch: Sequence[CaptionedImage], captions: Sequence[str]) -> None:
        metrics.update(batch, captions)
        if baseline_captions:
            baseline_metrics.update(batch, baseline_captions([example.image for example in batch]))

    evaluated = evaluate_examples(
        predict,
        examples,
        lambda example: example.image.name,
        update,
        evaluation,
        model,
        search,
        "captioning images",
        is_named=True,
    )
    rates = evaluated.rates(images_per_second=evaluated.computed)
    results = {**metrics.result(), "images": metrics.images, **rates}
    if baseline:
        scores = baseline_metrics.result()
        results["baselines"] = {name: {NAMES[baseline]: score} for name, score in scores.items()}
    report(model, split, results, data, evaluation, results.get("baselines"))


def predict(
    model: str,
    *images: str,
    json: bool = False,
    figure: str | None = None,
    streaming: Streaming,
    **search: object,
) -> None:
    """Captions images.

    Prints one line per image: the file and the caption, separated by a tab, or only the caption if a single file is
    given. A file that cannot be read is reported, and the rest are captioned.

    Args:
        model: Folder or name of the model.
        *images: Image files, or folders of images. Without any, the lines of --input or of standard input name files.
            The formats are JPEG, PNG, GIF, BMP, WebP, TIFF and PPM.
        json: Print a line of JSON per image with `image` and all `captions` that the search finds, each with `text`,
            `score`, `tokens` and `alignment`, the attention of each token to the cells of the feature map.
        figure: Image file, such as caption.png, for a figure of the first readable image with its caption and the
            attention for each token.
        streaming: Options of many inputs.
        **search: Options of the search, which replace those of the training.
    """
    import numpy as np

    from ..shared.images.usable import read_pixels
    from .model import Captioner

    check_drawing(figure, streaming)
    files: list[str] = []
    for path in map(Path, images):
        files += sorted(str(file) for file in path.iterdir() if file.is_file()) if path.is_dir() else [str(path)]
    if images and not files:
        raise UsageError(f"no image to caption in {', '.join(images)}")
    captioner = Captioner.load(model, **search)

    def lines(paths: Sequence[str], pixels: Sequence[Any]) -> list[str]:
        nonlocal figure
        if json or figure is not None:
            explanations = captioner.explain_pixels(np.stack(pixels))
            texts = [captions[0]["text"] for captions in explanations]
        else:
            texts = [caption.text for caption in captioner.caption_pixels(np.stack(pixels))]
        if figure is not None:
            _draw(paths[0], explanations[0][0], captioner.grid, figure)
            figure = None  # only the first image is drawn
        if json:
            captions = zip(paths, explanations, strict=True)
            return [dumps({"image": path, "captions": hypotheses}, ensure_ascii=False) for path, hypotheses in captions]
        texts = [remarks.answer(text) for text in texts]
        return texts if len(files) == 1 else [f"{path}\t{text}" for path, text in zip(paths, texts, strict=True)]

    def caption(batch: list[str], index: int) -> list[str | Exception]:
        return map_usable(lines, batch, read_pixels(batch, captioner.config.image_size))

    with collect_remarks(streaming) as remarks:
        stream(caption, files, streaming, model, {"json": json, **search}, by_length=False)


def _draw(image: str, caption: dict[str, Any], grid: tuple[int, int], path: str) -> None:
    """Draws an image with its caption and the attention for each token."""
    from ..shared.images.pixels import decode
    from ..shared.text.tokenizers import END, SPECIAL, display_form
    from .figures import draw_caption

    words = [display_form(token) for token in caption["tokens"] if token != SPECIAL[END]]
    draw_caption(decode(Path(image).read_bytes()), {**caption, "tokens": words}, grid, path)


VERBS = (evaluate, predict)
