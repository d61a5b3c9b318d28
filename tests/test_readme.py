import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_there_are_snippets():
    assert SNIPPETS


# A snippet that names a model's folder needs a model that takes minutes to train; the apps' tests run its like.
@pytest.mark.parametrize("snippet", [snippet for snippet in SNIPPETS if "saved_models/" not in snippet])
def test_snippet_runs(snippet):
    exec(compile(snippet, "README.md", "exec"), {})
