"""Visual question answering: answers questions about images."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from json import dumps
from operator import attrgetter
from pathlib import Path
from typing import Any

from ..shared.console import note
from ..shared.errors import UsageError
from ..shared.evaluation import Evaluation, EvaluationOptions, evaluate_examples, figure_path, report
from ..shared.remarks import collect_remarks
from ..shared.verbs import Streaming, check_drawing, map_usable, stream


def evaluate(
    model: str,
    *,
    data: str | None = None,
    split: str = "test",
    strict: bool = False,
    evaluation: EvaluationOptions,
) -> None:
    """Computes the accuracy of a model on a split, and that of baselines.

    Prints a table on standard error and one line of JSON on standard output: the accuracy, the VQA accuracy (an answer
    is fully right if three annotators gave it), the top-5 accuracy, each of them by type of question and of answer; the
    accuracy of the baselines; and the speed. The baselines are the most common answer, the most common answer to each
    type of question, and the models in MODEL-question and MODEL-image if they exist, trained with that --modality. An
    answer outside the model's vocabulary counts as wrong. Draws a confusion matrix into the model's folder.

    Each line of --output is the name of an image, a question and the five most probable answers, separated by tabs.
    With --predictions, MODEL-question and MODEL-image are not evaluated.

    Args:
        model: Folder or name of the model.
        data: Data set to evaluate on: a folder or a name. The default is the data set of the training.
        split: Split to evaluate on.
        strict: Stop at the first image that is missing, broken or without a question, instead of skipping it.
        evaluation: Options of large splits.
    """
    from ..shared.figures import draw_confusion
    from ..shared.training.splits import evaluated_split
    from .data import read, with_answers
    from .evaluation import (
        AnswerMetrics,
        BlindBaselines,
        ImageQuestion,
        confusion,
        modality_baselines,
        predictor,
        questions_of,
    )
    from .model import Answerer

    answerer = Answerer.load(model, strict=strict)
    questions = questions_of(with_answers(evaluated_split(read, answerer.config, split, data), split))
    baselines = modality_baselines(model, answerer) if evaluation.predictions is None else {}
    metrics, blind = AnswerMetrics(answerer.answers, answerer.config), BlindBaselines(model, answerer)

    def update(batch: Sequence[ImageQuestion], predictions: Sequence[str]) -> None:
        metrics.update(batch, predictions)
        blind.update(batch)

    def predict_with(
        answerer: Answerer, update: Callable, evaluation: EvaluationOptions, description: str
    ) -> Evaluation:
        predict, item_of = predictor(answerer), attrgetter("item")
        return evaluate_examples(predict, questions, item_of, update, evaluation, model, {}, description, is_named=True)

    evaluated = predict_with(answerer, update, evaluation, "answering questions")
    accuracies = blind.result()
    for modality, baseline in baselines.items():
        own = AnswerMetrics(baseline.answers, baseline.config)
        predict_with(baseline, own.update, replace(evaluation, output=None), f"answering with the {modality} alone")
        accuracies[f"{modality}_only"] = own.result()["accuracy"]
    counts = {"images": metrics.images, **evaluated.rates(questions_per_second=evaluated.computed)}
    results = {**metrics.result(), "baselines": accuracies, **counts}
    report(model, split, results, data, evaluation, {"accuracy": accuracies})
    if evaluation.shard is None:
        figure = figure_path(model, "confusion", split, data)
        draw_confusion(*confusion(metrics.pairs), figure)
        note(f"the confusion matrix is in {figure}")


def predict(model: str, *pairs: str, json: bool = False, figure: str | None = None, streaming: Streaming) -> None:
    """Answers questions about images.

    Prints one line per question: the file, the question and the answer, separated by tabs, or only the answer if a
    single pair is given. An image that cannot be read is reported, and the rest are answered.

    Args:
        model: Folder or name of the model.
        *pairs: Image file and question in quotation marks, followed by further such pairs. Without any, the lines of
            --input or of standard input, each an image file and a question, separated by a tab. The formats are JPEG,
            PNG, GIF, BMP, WebP, TIFF and PPM.
        json: Print a line of JSON per question with `image`, `question`, the five most probable `answers` with `text`
            and `probability`, `is_unknown`, which is true if the model knows no word of the question, and `looks`, the
            attention of the fusion to the cells of the feature map in each hop.
        figure: Image file, such as answer.png, for a figure of the first question with its image, answers and
            attention.
        streaming: Options of many inputs.
    """
    import numpy as np

    from ..shared.images.usable import read_pixels
    from .model import Answerer

    if len(pairs) % 2:
        raise UsageError("give pairs of an image file and a question in quotation marks")
    check_drawing(figure, streaming)
    answerer = Answerer.load(model)

    def lines(paths: Sequence[str], questions: Sequence[str], pixels: Sequence[Any]) -> list[str]:
        nonlocal figure
        results = []
        explanations = answerer.explain_pixels(np.stack(pixels), questions)
        remarks.read(questions)
        if figure is not None:
            _draw(paths[0], questions[0], explanations[0], answerer.grid, figure)
            figure = None  # only the first question is drawn
        for path, question, explanation in zip(paths, questions, explanations, strict=True):
            answer = explanation["answers"][0]["text"]
            if json:
                results.append(dumps({"image": path, "question": question, **explanation}, ensure_ascii=False))
            else:
                results.append(answer if len(pairs) == 2 else f"{path}\t{question}\t{answer}")
        return results

    def answer(batch: list[str], index: int) -> list[str | Exception]:
        paths, questions = zip(*map(_split_pair, batch), strict=True)
        return map_usable(lines, paths, questions, read_pixels(paths, answerer.config.image_size))

    items = [f"{path}\t{question}" for path, question in zip(pairs[::2], pairs[1::2], strict=True)]
    with collect_remarks(streaming, answerer.tokenizer) as remarks:
        stream(answer, items, streaming, model, {"json": json}, by_length=False)


def _split_pair(line: str) -> tuple[str, str | UsageError]:
    """Returns the image file and the question of a line, or an error in place of the question."""
    path, tab, question = line.partition("\t")
    if not tab:
        return path, UsageError("expected an image file, a tab and a question")
    return path, question if question.strip() else UsageError("the question is empty")


def _draw(image: str, question: str, explanation: dict[str, Any], grid: tuple[int, int], path: str) -> None:
    """Draws an image with a question, its answers and the attention."""
    from ..shared.images.pixels import decode
    from .figures import draw_answers

    draw_answers(decode(Path(image).read_bytes()), question, explanation, grid, path)


VERBS = (evaluate, predict)
