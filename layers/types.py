"""The type names that the signatures of the layers use."""

from typing import Any, TypeAlias

# A tensor of the backend; functions also take NumPy arrays and Keras variables.
Tensor: TypeAlias = Any

# A tensor, or tuples, lists, dictionaries and NamedTuples of tensors.
Nest: TypeAlias = Any

# None is a dimension that is not known yet.
Shape: TypeAlias = tuple[int | None, ...]

# What Keras's `get` functions take: a name, a configuration, an instance or a function.
Identifier: TypeAlias = Any
