"""Draws the gates, states and gradients of a classifier that has to remember a distant negation.

    python benchmarks/pictures.py                      # trains for a minute and writes docs/figures/*.png

The classifier reads the generated data set `negation` with a forward LSTM of 24 units and max pooling.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from keras_recurrent.apps.classification import model
from keras_recurrent.apps.classification.config import Config
from keras_recurrent.apps.shared import figures
from keras_recurrent.apps.shared.models import outputs

TEXT = "nobody would say that the film , which my aunt did not see in rome , is wonderful ."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs" / "figures")
    options = parser.parse_args()
    config = Config(units=24, embedding_dim=32, bidirectional=False, pooling="max", epochs=options.epochs)
    with tempfile.TemporaryDirectory() as folder, outputs.atomic_output(Path(folder) / "model") as partial:
        classifier = model.train(config, partial)
    inspection = classifier.inspect(TEXT)
    gates, norms, gradient = (
        {name: np.array(values) for name, values in group.items()}
        for group in (inspection["gates"], inspection["norms"], {"gradient": inspection["gradient"]})
    )
    options.output.mkdir(parents=True, exist_ok=True)
    figures.draw_gates(inspection["tokens"], gates, options.output / "gates.png")
    figures.draw_steps(inspection["tokens"], norms, options.output / "states.png")
    figures.draw_steps(inspection["tokens"], gradient, options.output / "gradients.png")


if __name__ == "__main__":
    main()
