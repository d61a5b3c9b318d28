import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SNIPPETS = [
    pytest.param(snippet, id=f"{file}-{number}")
    for file in ("README.md", "layers/README.md")
    for number, snippet in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / file).read_text(encoding="utf-8"), flags=re.DOTALL)
    )
    # One that names a model's folder needs a model that takes minutes to train; the apps' tests run its like.
    if "saved_models/" not in snippet
]


def test_there_are_snippets():
    assert len(SNIPPETS) > 2


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
