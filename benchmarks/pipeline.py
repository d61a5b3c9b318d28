"""Measures how data reaches the training of a translator: memory and processor time until the first step, and batches.

    python benchmarks/pipeline.py                                   # 1 million generated pairs of 24 words
    python benchmarks/pipeline.py --pairs 100000 --backend jax      # without TensorFlow
    python benchmarks/pipeline.py --folder DIR                      # keeps the pairs, and reads them the next time

The pairs are random words with the frequencies of a natural language, 200,000 different ones per language, with
punctuation marks and letters outside ASCII. The command `translation train` runs on them until its first training step
has ended. Memory is compared with the same command on 1,000 pairs. Then the batches of an epoch are read as Keras reads
them, and target tokens without padding are counted per second of processor time of all threads.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORDS = 200_000
BATCH_TOKENS = 4096


def write_pairs(folder, count):
    """Writes the splits `train` and `validation`."""
    folder.mkdir(parents=True, exist_ok=True)
    frequencies = 1 / (np.arange(WORDS) + 2.7)
    for language, letters in (("en", "abcdefghijklmnopqrstuvwxyz"), ("de", "abcdefghijklmnopqrstuvwxyzäöüß")):
        for split, pairs in (("train", count), ("validation", 100)):
            generator = np.random.default_rng([len(letters), pairs])
            words = ["".join(generator.choice([*letters], size)) for size in generator.integers(2, 9, WORDS)]
            words[::20] = [f"{word}," for word in words[::20]]
            with open(folder / f"{split}.{language}", "w", encoding="utf-8") as file:
                for start in range(0, pairs, 10_000):
                    lengths = generator.integers(5, 44, min(10_000, pairs - start))
                    drawn = generator.choice(WORDS, lengths.sum(), p=frequencies / frequencies.sum())
                    ends = np.cumsum(lengths)
                    for first, last in zip(ends - lengths, ends, strict=True):
                        file.write(" ".join([words[index] for index in drawn[first:last]]) + ".\n")


def measure(folder, backend, count):
    """Runs the command in this process until its first training step, then reads batches, and prints what it took."""
    os.environ["KERAS_BACKEND"] = backend
    from keras_recurrent.apps import cli
    from keras_recurrent.apps.shared import backends

    backends.import_backend()
    import keras

    class FirstStep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.seconds, self.peak = time.process_time(), peak_memory()
            self.model.stop_training = True

    def fit(model, batches, **options):
        first_step = FirstStep()
        original(model, batches, **{**options, "callbacks": [first_step], "verbose": 0})
        tokens = tokens_per_second(batches, backend, count)
        result = {"seconds": first_step.seconds, "peak": first_step.peak, **tokens}
        print(json.dumps(result))
        sys.stdout.flush()
        os._exit(0)

    original, keras.Model.fit = keras.Model.fit, fit
    with tempfile.TemporaryDirectory() as output:
        sizes = [f"--{name}=8" for name in ("encoder-units", "decoder-units", "embedding-dim")]
        data = [f"--data={folder}", "--source=de", "--target=en", f"--batch-tokens={BATCH_TOKENS}"]
        cli.main(["translation", "train", *data, *sizes, f"--output={output}/model"])


def tokens_per_second(batches, backend, count):
    """Reads batches."""
    start, wall = time.process_time(), time.perf_counter()
    if backend == "tensorflow":
        import tensorflow as tf

        # Inside of a function, as Keras reads it.
        dataset = batches.get_tf_dataset().take(count)
        tokens = int(dataset.reduce(0.0, lambda total, batch: total + tf.reduce_sum(batch[2])))
    else:
        tokens = sum(int(weights.sum()) for _, _, weights in itertools.islice(batches.get_jax_iterator(), count))
    spent, wall = time.process_time() - start, time.perf_counter() - wall
    start = time.process_time()
    batches.count(batches.epoch + 2)  # computes an order that is not prepared yet
    order = time.process_time() - start
    return {"tokens_per_core_second": tokens / spent, "tokens_per_second": tokens / wall, "order_seconds": order}


def peak_memory():
    """The peak memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def child(folder, options):
    """Calls `measure` in a separate process."""
    arguments = [sys.executable, __file__, "--measure", str(folder), "--backend", options.backend]
    output = subprocess.run([*arguments, "--batches", str(options.batches)], check=True, stdout=subprocess.PIPE)
    return json.loads(output.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="number of pairs (default: 1 million)")
    parser.add_argument("--backend", choices=("tensorflow", "jax"), default="tensorflow")
    parser.add_argument("--batches", type=int, default=5_000, help="number of batches that are read")
    parser.add_argument("--folder", type=Path, help="where to keep the pairs")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file as JSON")
    parser.add_argument("--measure", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.backend, options.batches)
        return
    with tempfile.TemporaryDirectory() as temporary:
        results = {}
        for count in (1_000, options.pairs):
            folder = (options.folder or Path(temporary)) / str(count)
            if not folder.exists():
                write_pairs(folder, count)
            results[count] = child(folder, options)
    small, large = results[1_000], results[options.pairs]
    print(f"{options.backend}, {options.pairs:,} pairs of 24 words")
    print(f"  processor time to the first step   {large['seconds']:.1f} s, {small['seconds']:.1f} s with 1,000 pairs")
    print(f"  peak memory above 1,000 pairs      {(large['peak'] - small['peak']) / 1e9:.2f} GB")
    print(f"  peak memory                        {large['peak'] / 1e9:.2f} GB")
    print(f"  target tokens per second           {large['tokens_per_second'] / 1e6:.1f} million")
    print(f"  and per second of processor time   {large['tokens_per_core_second'] / 1e6:.1f} million")
    print(f"  processor time of an epoch's order {large['order_seconds']:.2f} s")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
