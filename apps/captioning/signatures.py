"""The functions of a captioner's SavedModel, from images to captions."""

from typing import TYPE_CHECKING, Any

from ...layers.types import Tensor
from ..shared.saved_model.images import image_signatures, not_empty
from ..shared.saved_model.rows import answer_usable
from ..shared.saved_model.tokenizers import in_graph

if TYPE_CHECKING:
    from .model import Captioner


def signatures(captioner: "Captioner") -> tuple[dict[str, Any], list[Any]]:
    """Returns the two signatures of `image_signatures`; see `TrainedModel.signatures`.

    Their outputs are the `text` and the `score` of the best caption, and `error`, what is wrong with an image, empty if
    nothing is, `(batch,)`. The text of an image that cannot be read is empty, and the score 0.
    """
    tokenizer = in_graph(captioner.writer.tokenizer)

    @not_empty
    def best(pixels: Tensor) -> dict[str, Tensor]:
        hypotheses = captioner.writer.best(pixels)
        return {"text": tokenizer.decode(hypotheses["tokens"]), "score": hypotheses["scores"]}

    def answer(pixels: Tensor, error: Tensor) -> dict[str, Tensor]:
        return answer_usable(best, error, error == "", pixels)

    return image_signatures(captioner.config.image_size, answer), [tokenizer.tracked]
