"""The functions of a question answerer's SavedModel, from images and questions to answers."""

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ...layers.types import Tensor
from ..shared.saved_model.images import image_signatures, not_empty
from ..shared.saved_model.rows import answer_usable, first_error
from ..shared.saved_model.texts import encode_checked
from ..shared.saved_model.tokenizers import in_graph
from .model import TOP

if TYPE_CHECKING:
    from .model import Answerer

QUESTIONS = tf.TensorSpec([None], tf.string, name="question")


def signatures(answerer: "Answerer") -> tuple[dict[str, Any], list[Any]]:
    """Returns the two signatures of `image_signatures`, which also take `question` `(batch,)`.

    Their outputs are the most probable `answers` and their `probabilities` `(batch, 5)`, in descending order, or fewer
    if the model has fewer answers; and `error` `(batch,)`, what is wrong with an image or a question, empty if nothing
    is. The other outputs of a row that cannot be used are zeros and empty strings. See `TrainedModel.signatures`.
    """
    tokenizer, length = in_graph(answerer.tokenizer), answerer.config.max_length
    answers = tf.constant(answerer.answers)

    @not_empty
    def best(pixels: Tensor, questions: Tensor) -> dict[str, Tensor]:
        probabilities = answerer.core(pixels, tokenizer.padded(questions))["probabilities"]
        probabilities, indices = tf.math.top_k(probabilities, min(TOP, len(answerer.answers)))
        return {"answers": tf.gather(answers, indices), "probabilities": probabilities}

    def answer(pixels: Tensor, error: Tensor, questions: Tensor) -> dict[str, Tensor]:
        counts = tf.shape(pixels)[0], tf.shape(questions)[0]
        with tf.control_dependencies([tf.debugging.assert_equal(*counts, "each image needs one question")]):
            questions = tf.identity(questions)
        ids, question_error, is_usable = encode_checked(tokenizer, questions, "question", length, limit=length)
        is_usable &= error == ""
        error = first_error((error != "", error), (question_error != "", question_error))
        return answer_usable(best, error, is_usable, pixels, ids)

    return image_signatures(answerer.config.image_size, answer, QUESTIONS), [tokenizer.tracked]
