"""Loops of an ONNX graph without values that no step changes."""

from typing import Any

# The inputs of a `Loop` before its states, those of its body, and the outputs of its body before the new states.
_TRIPS_AND_CONDITION, _COUNT_AND_CONDITION, _CONDITION = 2, 2, 1


def inline_invariants(graph: Any) -> None:
    """Makes the bodies of all loops read values that no step changes, such as weights, from outside the loop.

    tf2onnx passes them from step to step as states. A runtime then does not know that weights are constants, and cannot
    prepare them for its matrix products.

    Args:
        graph: An `onnx.GraphProto`, which is changed.
    """
    for node in graph.node:
        for body in _subgraphs(node):
            if node.op_type == "Loop":
                _inline(graph, node, body)
            inline_invariants(body)


def _inline(graph: Any, loop: Any, body: Any) -> None:
    defined = {name for node in body.node for name in node.output} | {value.name for value in body.input}
    results = {value.name for value in graph.output}
    states = len(body.input) - _COUNT_AND_CONDITION
    for index in reversed(range(states)):
        inside, outside = body.input[index + _COUNT_AND_CONDITION].name, loop.input[index + _TRIPS_AND_CONDITION]
        new = body.output[index + _CONDITION].name
        others = [output.name for position, output in enumerate(body.output) if position != index + _CONDITION]
        if _source(body, new) != inside or inside in others or outside in defined or loop.output[index] in results:
            continue
        _rename(body, inside, outside)
        if loop.output[index]:
            _rename(graph, loop.output[index], outside)
        del loop.input[index + _TRIPS_AND_CONDITION], loop.output[index]
        del body.input[index + _COUNT_AND_CONDITION], body.output[index + _CONDITION]


def _source(graph: Any, name: str) -> str:
    """Returns the name of the value that `Identity` operations copy to a value."""
    for node in graph.node:
        if node.op_type == "Identity" and node.output[0] == name:
            return _source(graph, node.input[0])
    return name


def _rename(graph: Any, old: str, new: str) -> None:
    """Makes all operations of a graph and of its subgraphs read another value."""
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
        for body in _subgraphs(node):
            _rename(body, old, new)
            for output in body.output:
                if output.name == old:
                    copy = body.node.add(op_type="Identity", input=[new], output=[f"{new}_of_{body.name}"])
                    output.name = copy.output[0]


def _subgraphs(node: Any) -> list[Any]:
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]
