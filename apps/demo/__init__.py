"""A page in the browser that runs the trained models that come with the package."""

from typing import Annotated, Literal

from ..shared.allocator import keep_freed_memory
from ..shared.backends import choose_backend, import_backend
from ..shared.options import Limits

Port = Annotated[int, Limits("a port from 0 to 65,535", 0, 65_535)]


def demo(*, port: Port = 8000, browser: bool = True, backend: Literal["tensorflow", "jax"] | None = None) -> None:
    """Opens a page that runs the trained models that come with the package.

    The page translates, describes pictures, answers questions about them, classifies, forecasts, writes, and shows
    what the gates and the gradients of a network do. The models run in this process, which needs no network and
    serves this machine alone.

    Args:
        port: Port of the page. 0 chooses a free one.
        browser: Show the page in the browser of this machine.
        backend: Keras backend. The default is KERAS_BACKEND, or else TensorFlow if it is installed, or else JAX.
    """
    choose_backend(backend)
    keep_freed_memory()
    import_backend()
    from .server import serve

    serve(port, browser)
