"""The functions of a generator's SavedModel, from prompts to texts."""

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ...layers.types import Tensor
from ..shared.saved_model.rows import answer_usable, first_error
from ..shared.saved_model.texts import is_utf_8
from ..shared.saved_model.tokenizers import in_graph
from ..shared.text.tokenizers import PADDING, UNKNOWN

if TYPE_CHECKING:
    from .model import Generator

PROMPT = tf.TensorSpec([None], tf.string, name="prompt")
LABEL = tf.TensorSpec([None], tf.string, name="label")
SEED = tf.TensorSpec([], tf.int64, name="seed")
SAMPLING = [tf.TensorSpec([], tf.float32, name="temperature"), tf.TensorSpec([], tf.float32, name="top_p")]


def signatures(generator: "Generator") -> tuple[dict[str, Any], list[Any]]:
    """Returns two signatures from strings `prompt` `(batch,)` and an integer `seed`; see `TrainedModel.signatures`.

    A model with labels also takes `label` `(batch,)`. `sample` also takes the floats `temperature` and `top_p`. The
    same seed samples the same texts.

    The outputs are `text` `(batch,)`, of at most `config.max_length` characters, the prompt included, and `error`
    `(batch,)`, why a prompt cannot be continued. The error of any other prompt is empty, and so is the text of one with
    an error.
    """
    tokenizer, labels, length = in_graph(generator.tokenizer), generator.labels, generator.config.max_length

    def usable_prompts(prompt: Tensor) -> tuple[Tensor, list[tuple[Tensor, Any]]]:
        """Returns the ids of prompts, and pairs of what may be wrong with them and a message."""
        is_valid = is_utf_8(prompt)
        valid = tf.where(is_valid, prompt, "")
        ids = tokenizer.ids_of(valid)
        names = tf.strings.reduce_join(tf.ragged.boolean_mask(tokenizer.pieces(valid), ids == UNKNOWN), axis=1)
        return ids, [
            (~is_valid, "the prompt is not UTF-8"),
            (ids.row_lengths() >= length, f"the prompt has {length:,} characters or more"),
            (names != "", tf.strings.join(["the model has never seen the characters '", names, "'"])),
        ]

    def usable_labels(label: Tensor) -> tuple[Tensor, list[tuple[Tensor, Any]]]:
        """Returns the ids of labels, and pairs as those of `usable_prompts`."""
        is_label = tf.expand_dims(label, 1) == tf.constant(labels)
        known = f"'; its labels are {', '.join(labels)}"
        return tf.argmax(is_label, axis=1, output_type=tf.int32) + len(generator.tokenizer), [
            (~is_utf_8(label), "the label is not UTF-8"),
            (~tf.reduce_any(is_label, axis=1), tf.strings.join(["the model has no label '", label, known])),
        ]

    def sample(prompt: Tensor, seed: Tensor, *others: Tensor) -> dict[str, Tensor]:
        *label, temperature, top_p = others
        ids, checks = usable_prompts(prompt)
        inputs = [ids]
        if labels:
            label_ids, label_checks = usable_labels(label[0])
            inputs.append(label_ids)
            checks += label_checks

        def continue_prompts(ids: Tensor, *label_ids: Tensor) -> dict[str, Tensor]:
            prompts = tf.concat([*(label[:, tf.newaxis] for label in label_ids), ids.to_tensor()], axis=1)
            steps = length + len(label_ids)
            count = steps + generator.has_end
            draws = tf.random.stateless_uniform([tf.shape(prompts)[0], 1, count], tf.stack([seed, 0]))
            draws = tf.ensure_shape(draws, (None, 1, count))
            tokens = generator.sample(prompts, draws, generator.start, temperature=temperature, top_p=top_p)
            tokens = tokens[:, 0, :steps]
            return {"text": tokenizer.decode(tf.where(tokens < len(generator.tokenizer), tokens, PADDING))}

        error = first_error(*checks)
        return answer_usable(continue_prompts, error, error == "", *inputs)

    inputs = [PROMPT, SEED, *([LABEL] if labels else [])]
    functions = {
        "serving_default": (lambda *arguments: sample(*arguments, 1.0, 1.0), inputs),
        "sample": (sample, [*inputs, *SAMPLING]),
    }
    return functions, [tokenizer.tracked]
