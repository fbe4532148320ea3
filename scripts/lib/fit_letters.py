"""Fits the model of crates/page-image/src/layout/letters/weights.rs and prints its coefficients.

    fit_letters.py CORPUS LABELS PIECES...

CORPUS: a folder of gazettes (PDF). LABELS: a folder of <issue>.tsv with the columns page, region, script. PIECES: the output of
the ignored test `pieces_of_all_pages` for pages rendered at 192 dpi, at 150 dpi, and at 192 dpi with a shear of 0.01.
For every issue, the script first prints the accuracy of a model that was fitted without that issue. Needs numpy, scipy,
pymupdf.
"""

import collections
import csv
import pathlib
import sys

import numpy as np
import pymupdf
from scipy.optimize import minimize

ARABIC, LATIN, NEITHER = range(3)
PLACES = 10
MOST = 900  # at most this many pieces for each issue and class
RIDGE = 1e-3


def class_of(word):
    arabic = sum("\u0600" <= c <= "\u06ff" or "\ufb50" <= c <= "\ufeff" for c in word if not "\u0660" <= c <= "\u0669")
    latin = sum(c.isalpha() and ord(c) < 0x250 for c in word)
    digits = sum(c.isdigit() for c in word)
    return ARABIC if arabic and arabic >= latin else LATIN if latin > digits else NEITHER


def words_of(path):
    """For every page with a text layer: the boxes (as fractions of the page) and classes of its words."""
    for number, page in enumerate(pymupdf.open(path), 1):
        scale = np.array([page.rect.width, page.rect.height] * 2)
        words = [(*(np.array(w[:4]) / scale), class_of(w[4])) for w in page.get_text("words")]
        if words:
            yield number, np.array(words)


def class_of_piece(box, label, words):
    """The class of a piece, and whether it comes from the label of the page. A label does not separate letters from digits."""
    if label is None or label["region"]:
        return None
    if words is None:
        known = {"ara": ARABIC, "fra": LATIN}.get(label["script"]) if box[1] > 0.09 else None
        return None if known is None else (known, True)
    across = np.minimum(words[:, 2], box[2]) - np.maximum(words[:, 0], box[0])
    down = np.minimum(words[:, 3], box[3]) - np.maximum(words[:, 1], box[1])
    over = (across > 0) & (down > 0.5 * (box[3] - box[1]))
    share = np.bincount(words[over, 4].astype(int), weights=across[over], minlength=3)
    return (int(share.argmax()), False) if share.max() > 0.8 * share.sum() > 0 else None


def upside_down(x):
    ink, runs, upper, lower, rest = np.split(x, [PLACES * k for k in range(1, 5)], axis=1)
    return np.concatenate([ink[:, ::-1], runs[:, ::-1], lower[:, ::-1], upper[:, ::-1], rest], axis=1)


def shares(weights, x):
    z = np.concatenate([x @ weights[:-1] + weights[-1], upside_down(x) @ weights[:-1] + weights[-1]], axis=1)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def fit(x, y, by_label, issue):
    turned = upside_down(x)
    mean, spread = (x.mean(0) + turned.mean(0)) / 2, (x.std(0) + turned.std(0)) / 2 + 1e-6
    xs, ts = (x - mean) / spread, (turned - mean) / spread
    allowed = np.eye(6)[y]
    allowed[y == NEITHER, 5] = 1  # either way up
    allowed[np.ix_(by_label, [NEITHER, 5])] = 0.5
    weight = np.zeros(len(y))
    for key in set(zip(issue, y)):
        at = (issue == key[0]) & (y == key[1])
        weight[at] = min(1, at.sum() / 300) / at.sum() * (0.4 if key[1] == NEITHER else 1)
    weight /= weight.sum()

    def loss(flat):
        w = flat.reshape(-1, 3)
        z = np.concatenate([xs @ w[:-1] + w[-1], ts @ w[:-1] + w[-1]], axis=1)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        right = (p * allowed).sum(axis=1, keepdims=True) + 1e-12
        g = (p - p * allowed / right) * weight[:, None]
        slope = xs.T @ g[:, :3] + ts.T @ g[:, 3:] + 2 * RIDGE * w[:-1]
        value = -(weight * np.log(right[:, 0])).sum() + RIDGE * (w[:-1] ** 2).sum()
        return value, np.vstack([slope, (g[:, :3] + g[:, 3:]).sum(0)]).ravel()

    start = np.zeros((x.shape[1] + 1) * 3)
    w = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 120}).x.reshape(-1, 3)
    return np.vstack([w[:-1] / spread[:, None], w[-1] - (mean / spread) @ w[:-1]])


def main(corpus, folder, *files):
    rows = lambda path: csv.DictReader(path.open(), delimiter="\t", quoting=csv.QUOTE_NONE)
    labels = {(p.stem, int(r["page"])): r for p in pathlib.Path(folder).glob("*.tsv") for r in rows(p)}
    words = {(p.stem, n): w for p in pathlib.Path(corpus).rglob("*.pdf") if (p.stem, 1) in labels for n, w in words_of(p)}
    found = collections.defaultdict(list)
    for line in (line for file in files for line in open(file)):
        issue, page, *numbers = line.rstrip("\n").split("\t")
        numbers = np.array(numbers, dtype=float)
        key = (issue, int(page))
        if known := class_of_piece(numbers[:4], labels.get(key), words.get(key)):
            found[issue, known[0]].append((numbers[4:], known[1]))
    chance, chosen = np.random.default_rng(1), []
    for (issue, kind), pieces in sorted(found.items()):
        chosen += [(*pieces[at], kind, issue) for at in chance.permutation(len(pieces))[:MOST]]
    x, by_label, y, issue = (np.array(column) for column in zip(*chosen))
    for one in sorted(set(issue)):
        out = np.array([other.split("_")[1] == one.split("_")[1] for other in issue])
        p = shares(fit(x[~out], y[~out], by_label[~out], issue[~out]), x[issue == one])
        letters = y[issue == one] != NEITHER
        right = ((p[:, :3] + p[:, 3:]).argmax(1) == y[issue == one])[letters].mean()
        upright = (p[:, :3].sum(1) > 0.5)[letters].mean()
        print(f"// {one}: {letters.sum()} pieces with letters, script {right:.3f}, upright {upright:.3f}")
    weights = fit(x, y, by_label, issue)
    print("BIAS", np.round(weights[-1], 3).tolist())
    print("WEIGHTS", np.round(weights[:-1].T, 3).tolist())


main(*sys.argv[1:])
