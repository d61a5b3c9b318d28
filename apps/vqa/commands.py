"""Answers questions about pictures, with a convolutional network, a recurrent one and a fusion of the two."""

import operator
from json import dumps
from pathlib import Path

from ..shared.console import Stopwatch, note
from ..shared.errors import UsageError
from ..shared.verbs import figure_path, report


def evaluate(model: str, *, data: str | None = None, split: str = "test", strict: bool = False):
    """Counts a model's right answers to the questions of a split, beside those of blind baselines.

    Ends with one line of JSON: accuracy, VQA accuracy, whether a right answer is among the first five; the same by type
    of question and of answer; and the baselines: the commonest answer, the commonest answer to each type of question,
    and, of models in the folders MODEL-question and MODEL-image that were trained with that --modality, the accuracy
    with question or image alone. An answer that the model does not know counts as wrong. Each image is looked at once.

    Args:
        model: The model's folder.
        data: A folder or a name; the default is what the model was trained on.
        split: The split to answer.
        strict: Stop at the first image that is missing, broken or without a question, instead of leaving it out.
    """
    from ..shared.figures import draw_confusion
    from ..shared.training.splits import evaluated_split
    from . import evaluation
    from .data import answered, read
    from .model import Answerer

    answerer = Answerer.load(model, strict=strict)
    examples = answered(evaluated_split(read, answerer.config, split, data), split)
    baselines = evaluation.baselines(model, answerer)
    with Stopwatch() as watch:
        results, looked = evaluation.results(answerer, examples)
    metrics = evaluation.summary(results)
    metrics["baselines"] = evaluation.blind(model, answerer, examples)
    for modality, baseline in baselines.items():
        alone, _ = evaluation.results(baseline, examples)
        metrics["baselines"][f"{modality}_only"] = evaluation.summary(alone)["accuracy"]
    figure = figure_path(model, "confusion", split, data)
    draw_confusion(*evaluation.confusion(results), figure)
    note(f"which answers are taken for which is drawn in {figure}")
    speed = {"images": looked, "questions_per_second": round(len(results) / watch.seconds, 1)}
    report(model, split, {**metrics, **speed}, data)


def predict(model: str, *pairs: str, json: bool = False, figure: str | None = None):
    """Answers questions about images, a line each: the answer, and of several pairs before it file, question and tabs.

    Args:
        model: The model's folder.
        *pairs: An image's file and a question in quotation marks, and as many more such pairs as you like.
        json: Instead of the likeliest answer, print a line of JSON for a question: its `image`, `question`, the five
            likeliest `answers` with `text` and `probability`, `is_unknown`, whether the model knows none of its
            tokens, and `looks`, where the fusion looked in each hop.
        figure: A file such as `answer.png`, to draw the first question that can be answered into, with its image and
            answers, and where the fusion looked.
    """
    from ..shared.figures import check_picture
    from ..shared.images.pixels import decode
    from ..shared.images.usable import attempted
    from .figures import draw_answers
    from .model import Answerer

    if not pairs or len(pairs) % 2:
        raise UsageError("name an image and a question in quotation marks, one after the other")
    if figure is not None:
        check_picture(figure)
    answerer = Answerer.load(model)

    def answer_to(pair):
        file, question = pair
        if not question.strip():
            raise UsageError("the question is empty")
        content = Path(file).read_bytes()
        return content, *answerer.explain([content], [question])

    asked = list(zip(pairs[::2], pairs[1::2], strict=True))
    answered = attempted(answer_to, asked, operator.itemgetter(0), "questions could not be answered")
    for (file, question), (content, told) in answered:
        line = dumps({"image": file, "question": question, **told}, ensure_ascii=False)
        answer = told["answers"][0]["text"]
        plain = answer if len(pairs) == 2 else f"{file}\t{question}\t{answer}"
        print(line if json else plain, flush=True)
        if figure is not None:
            draw_answers(decode(content), question, told, answerer.grid, figure)
            figure = None  # of the first question only


VERBS = (evaluate, predict)
