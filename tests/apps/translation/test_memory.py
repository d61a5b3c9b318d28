"""The memory that the data of a training takes, measured in a separate process."""

import json
import random
import subprocess
import sys

import pytest

READ = """
import json, resource, sys
from keras_recurrent.apps.shared import backends
backends.choose_backend(None)
backends.import_backend()
from keras_recurrent.apps.translation import data
from keras_recurrent.apps.translation.config import Config
from keras_recurrent.apps.shared.text.tokenizers import WordTokenizer

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

before = peak()
config = Config(data=sys.argv[1], source="de", target="en", batch_tokens=4096, max_length=60)
pairs = data.read(config, "train")
tokenizers = [WordTokenizer.fit(side, 8000) for side in pairs]
batches = data.batches(*pairs, tokenizers, config, "train")
tokens = sum(int(weights.sum()) for _, _, weights in batches)
print(json.dumps([peak() - before, tokens]))
"""


@pytest.mark.rest
def test_a_pair_takes_less_than_a_kilobyte(tmp_path):
    pairs, words = 50_000, 24
    generator = random.Random(0)
    vocabulary = [f"wort{index}" for index in range(5000)]
    for language in ("de", "en"):
        lines = (" ".join(generator.choices(vocabulary, k=words)) + "\n" for _ in range(pairs))
        (tmp_path / f"train.{language}").write_text("".join(lines))
    output = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], stdout=subprocess.PIPE, check=True).stdout
    memory, tokens = json.loads(output)
    assert tokens == pairs * (words + 1)
    assert memory < 1000 * pairs  # about half is the text
