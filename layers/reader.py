"""A decoder that reads tokens over one memory, step by step or all at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from keras import ops, tree

from .attention import attend_to
from .loop import scan
from .memory import Memory
from .types import Tensor

if TYPE_CHECKING:
    from .decoder import Decoder


class DecoderState(NamedTuple):
    """The state of a `Decoder`.

    Attributes:
        layers: Tuple with one list per recurrent layer of its states `(rows, units)`.
        readout: Tensor `(rows, readout_units)`, the readout of the step before, with `input_feeding`; else `()`.
    """

    layers: tuple[list[Tensor], ...]
    readout: Any = ()


class Reader:
    """Runs a `Decoder` over one memory. What depends on the memory alone is computed once.

    Args:
        decoder: A `Decoder`.
        memory: A `Memory`.
        hypotheses: Positive integer, how many consecutive rows of tokens and states share a row of the memory; None is
            one.

    Call arguments:
        token: Integer tensor `(rows,)`.
        state: A `DecoderState`.

    Returns:
        `(logits, state, weights)`; see `Decoder.step`.
    """

    def __init__(self, decoder: "Decoder", memory: Memory, hypotheses: int | None = None) -> None:
        self.decoder = decoder
        self.memory = memory
        self.hypotheses = hypotheses
        self.summaries = repeat_rows(memory.summary, hypotheses)
        self.attend: Any = None
        if decoder.attention is not None:
            self.attend = attend_to(decoder.attention, memory, hypotheses)

    def __call__(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        embedded = self._join_summaries("par", self.decoder.embedding(token), self.summaries)
        readout, state, weights = self.advance(embedded, state)
        return self.decoder.logits(readout), state, weights

    def advance(self, inputs: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Runs one step from the input of the recurrence `(rows, features)`: `(readout, state, weights)`."""
        return self._advance(self._project(inputs), state)

    def read(self, tokens: Tensor, training: bool = False) -> tuple[Tensor, Tensor | None]:
        """Computes the readouts and the attention weights after each token, both `(rows, steps, ...)`.

        Args:
            tokens: Integer tensor `(rows, steps)`.
            training: Whether to apply dropout.
        """
        decoder = self.decoder
        embedded = decoder.dropouts[0](decoder.embedding(tokens), training=training)
        summaries = ops.repeat(ops.expand_dims(self.summaries, 1), ops.shape(tokens)[1], axis=1)
        embedded = self._join_summaries("par", embedded, summaries)
        state = tree.map_structure(lambda x: repeat_rows(x, self.hypotheses), decoder.initial_state(self.memory))
        if decoder.feeds_context or decoder.input_feeding:
            return self._read_in_steps(embedded, state, training)
        output = embedded
        for layer, states, dropout in zip(decoder.layers, state.layers, decoder.dropouts[1:-1], strict=True):
            output = dropout(layer(output, initial_state=states, training=training), training=training)
        context = weights = None
        if self.attend is not None:
            context, weights = self.attend(output)
        return self._read_out(output, context, summaries), weights

    def _read_in_steps(self, embedded, state, training):
        """Computes `read` in a loop, from the embeddings of the tokens and the initial state."""
        decoder = self.decoder
        projected = self._project(ops.transpose(embedded, (1, 0, 2)))  # (steps, rows, columns)
        # Dropout masks are drawn before the loop: of the outputs `(steps, rows, units)` for each layer, and of the
        # states in the recurrent products `(rows, units)` for all steps.
        ones = ops.ones((*ops.shape(projected)[:2], decoder.units), dtype=projected.dtype)
        output_masks = [dropout(ones, training=training) for dropout in decoder.dropouts[1:-1]]
        state_masks = [
            layer.cell.recurrent_dropout_mask(states[0], training)
            for layer, states in zip(decoder.layers, state.layers, strict=True)
        ]

        def drop_state(index, h):
            return h if state_masks[index] is None else h * state_masks[index]

        def step(state, inputs):
            projected, masks = inputs
            readout, state, weights = self._advance(projected, state, lambda index, h: h * masks[index], drop_state)
            return state, (readout, weights)

        _, (readouts, weights) = scan(step, state, (projected, output_masks))
        return ops.transpose(readouts, (1, 0, 2)), ops.transpose(weights, (1, 0, 2))

    def _project(self, inputs: Tensor) -> Tensor:
        """Projects the inputs of the bottom cell; if something is fed, only their product with the kernel."""
        cell = self.decoder.layers[0].cell
        if not (self.decoder.feeds_context or self.decoder.input_feeding):
            return cell.project(inputs)
        return cell.input_product(inputs, slice(None, self.decoder.input_dim))

    def _add_fed(self, product: Tensor, fed: Tensor) -> Tensor:
        """Projects the inputs of the bottom cell from the result of `_project` and the rest of the inputs."""
        cell = self.decoder.layers[0].cell
        return cell.project_product(product + cell.input_product(fed, slice(self.decoder.input_dim, None)))

    def _advance(
        self,
        projected: Tensor,
        state: DecoderState,
        drop_output: Callable = lambda index, h: h,
        drop_state: Callable = lambda index, h: h,
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Runs one step from a projected input `(rows, columns)`: `(readout, state, weights)`.

        `drop_output(index, h)` is applied to the output of each layer, and `drop_state(index, h)` to the state in its
        recurrent product.
        """
        decoder = self.decoder
        context = weights = None
        if decoder.feeds_context:
            query, *_ = state.layers[0]
            context, weights = self._attend_rows(query)
            projected = self._add_fed(projected, context)
        elif decoder.input_feeding:
            projected = self._add_fed(projected, state.readout)
        output, new_states = None, []
        for index, (layer, states) in enumerate(zip(decoder.layers, state.layers, strict=True)):
            cell = layer.cell
            inner, _ = cell.inner(drop_state(index, states[0]), *cell.inner_weights)
            states, _ = cell.step(cell.project(output) if index else projected, inner, states)
            output = drop_output(index, states[0])
            new_states.append(states)
        if self.attend is not None and not decoder.feeds_context:
            context, weights = self._attend_rows(output)
        readout = self._read_out(output, context, self.summaries)
        return readout, DecoderState(tuple(new_states), readout if decoder.input_feeding else ()), weights

    def _attend_rows(self, query: Tensor) -> list[Tensor]:
        """Attends with one query per row, `(rows, units)`."""
        return [ops.squeeze(x, 1) for x in self.attend(ops.expand_dims(query, 1))]

    def _read_out(self, output: Tensor, context: Tensor | None, summaries: Tensor) -> Tensor:
        if context is not None:
            output = ops.concatenate([output, context], axis=-1)
        output = self._join_summaries("merge", output, summaries)
        return output if self.decoder.readout is None else self.decoder.readout(output)

    def _join_summaries(self, conditioning: str, values: Tensor, summaries: Tensor) -> Tensor:
        """Concatenates the summaries to the values if this is the decoder's conditioning."""
        if self.decoder.conditioning != conditioning:
            return values
        return ops.concatenate([values, summaries], axis=-1)


def repeat_rows(x: Tensor, count: int | None) -> Tensor:
    """Repeats each row; None is once."""
    return x if count is None else ops.repeat(x, count, axis=0)
