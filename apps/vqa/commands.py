"""Visual question answering: answers questions about images."""

import operator
from json import dumps
from pathlib import Path

from ..shared.console import Stopwatch, note
from ..shared.errors import UsageError
from ..shared.verbs import figure_path, report


def evaluate(model: str, *, data: str | None = None, split: str = "test", strict: bool = False) -> None:
    """Computes the accuracy of a model on a split, and that of baselines.

    Prints one line of JSON: the accuracy, the VQA accuracy (an answer is fully right if three annotators gave it), the
    top-5 accuracy, each of them by type of question and of answer; the accuracy of the baselines; and the speed. The
    baselines are the most common answer, the most common answer to each type of question, and the models in
    MODEL-question and MODEL-image if they exist, trained with that --modality. An answer outside the model's vocabulary
    counts as wrong. Draws a confusion matrix into the model's folder.

    Args:
        model: Folder of the trained model.
        data: Data set to evaluate on: a folder or a name. The default is the data set of the training.
        split: Split to evaluate on.
        strict: Stop at the first image that is missing, broken or without a question, instead of skipping it.
    """
    from ..shared.figures import draw_confusion
    from ..shared.training.splits import evaluated_split
    from . import evaluation
    from .data import read, with_answers
    from .model import Answerer

    answerer = Answerer.load(model, strict=strict)
    examples = with_answers(evaluated_split(read, answerer.config, split, data), split)
    baselines = evaluation.modality_baselines(model, answerer)
    with Stopwatch() as watch:
        results, images = evaluation.predict_all(answerer, examples)
    metrics = evaluation.summary(results)
    metrics["baselines"] = evaluation.blind_baselines(model, answerer, examples)
    for modality, baseline in baselines.items():
        baseline_results, _ = evaluation.predict_all(baseline, examples)
        metrics["baselines"][f"{modality}_only"] = evaluation.summary(baseline_results)["accuracy"]
    speed = {"images": images, "questions_per_second": round(len(results) / watch.seconds, 1)}
    report(model, split, {**metrics, **speed}, data)
    figure = figure_path(model, "confusion", split, data)
    draw_confusion(*evaluation.confusion(results), figure)
    note(f"confusion matrix written to {figure}")


def predict(model: str, *pairs: str, json: bool = False, figure: str | None = None) -> None:
    """Answers questions about images.

    Prints one line per question: the answer, or for several questions the file, the question and the answer, separated
    by tabs. An image that cannot be read is reported, and the rest are answered.

    Args:
        model: Folder of the trained model.
        *pairs: Image file and question in quotation marks, followed by further such pairs. The formats are JPEG, PNG,
            GIF, BMP, WebP, TIFF and PPM.
        json: Print a line of JSON per question with `image`, `question`, the five most probable `answers` with `text`
            and `probability`, `is_unknown`, which is true if the model knows no word of the question, and `looks`, the
            attention of the fusion to the cells of the feature map in each hop.
        figure: Image file, such as answer.png, for a figure of the first question with its image, answers and
            attention.
    """
    from ...datasets.images import Image
    from ..shared.figures import check_picture
    from ..shared.images.pixels import decode
    from ..shared.images.usable import attempt_each
    from .figures import draw_answers
    from .model import Answerer

    if not pairs or len(pairs) % 2:
        raise UsageError("give pairs of an image file and a question in quotation marks")
    if figure is not None:
        check_picture(figure)
    answerer = Answerer.load(model)

    def explain(pair):
        file, question = pair
        if not question.strip():
            raise UsageError("the question is empty")
        content = Image(file, Path(file)).read()
        return content, *answerer.explain([content], [question])

    items = list(zip(pairs[::2], pairs[1::2], strict=True))
    results = attempt_each(explain, items, operator.itemgetter(0), "questions could not be answered")
    for (file, question), (content, explanation) in results:
        answer = explanation["answers"][0]["text"]
        if json:
            line = dumps({"image": file, "question": question, **explanation}, ensure_ascii=False)
        else:
            line = answer if len(pairs) == 2 else f"{file}\t{question}\t{answer}"
        print(line, flush=True)
        if figure is not None:
            draw_answers(decode(content), question, explanation, answerer.grid, figure)
            figure = None  # only the first question is drawn


VERBS = (evaluate, predict)
