"""Pictures for people who would rather look than read."""

import csv

from matplotlib.figure import Figure


def draw_history(history, path):
    """Draws the training and validation losses of a `history.csv` against the epochs, into a picture file."""
    with open(history, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) + 1 for row in rows]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for column, label in (("loss", "training"), ("val_loss", "validation")):
        axes.plot(epochs, [float(row[column]) for row in rows], marker="o", markersize=3, label=label)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    figure.savefig(path, dpi=120)
