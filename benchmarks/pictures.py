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
from keras_recurrent.apps.shared.text.batches import encode_padded
from keras_recurrent.apps.shared.training.losses import TokenCrossentropy
from keras_recurrent.layers import gate_activations, gradient_flow, state_norms

TEXT = "nobody would say that the film , which my aunt did not see in rome , is wonderful ."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs" / "figures")
    options = parser.parse_args()
    config = Config(units=24, embedding_dim=32, bidirectional=False, pooling="max", epochs=options.epochs)
    with tempfile.TemporaryDirectory() as folder, outputs.atomic_output(Path(folder) / "model") as partial:
        classifier = model.train(config, partial)
    (explanation,) = classifier.explain([TEXT])
    print(explanation["probabilities"])
    encoder = classifier.model.get_layer("encoder")
    ids = encode_padded(classifier.tokenizer, [TEXT])
    embedded = encoder.embedding(ids)
    gates = {name: values[0] for name, values in gate_activations(encoder.layers[0], embedded).items()}
    norms = {name: values[0] for name, values in state_norms(encoder.layers[0], embedded).items()}
    target = np.array([classifier.labels.index("negative")])
    (flow,) = gradient_flow(classifier.model, ids, target, TokenCrossentropy()).values()
    options.output.mkdir(parents=True, exist_ok=True)
    figures.draw_gates(explanation["tokens"], gates, options.output / "gates.png")
    figures.draw_steps(explanation["tokens"], norms, options.output / "states.png")
    figures.draw_steps(explanation["tokens"], {"gradient": flow[0]}, options.output / "gradients.png")


if __name__ == "__main__":
    main()
