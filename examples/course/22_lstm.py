"""Chapter 22, LSTM: a memory that is added to instead of multiplied over and over.

i = sigma(W_i x + U_i h + b_i), f and o alike; g = tanh(W_g x + U_g h + b_g); c <- f c + i g; h <- o tanh(c).
Shows the cell by hand against the library's, values and gradients; the layer as the cell, step after step; how the
gradient fades over time in a plain recurrent network and not in an LSTM; a classifier that reads digits row by row; and
a model of characters that learns a text and writes it.
"""

from itertools import pairwise
from math import exp, log
from pathlib import Path

import adret as ad
from adret import nn, optim

# The cell by hand. The four blocks of W [4 hidden, input] and U [4 hidden, hidden] are i, f, g, o.
ad.manual_seed(0)
INPUT, HIDDEN = 3, 4
cell = nn.LSTMCell(INPUT, HIDDEN, dtype=ad.float64)


def by_hand(x: ad.Tensor, h: ad.Tensor, c: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
    """One step: the new h and c."""
    gates = x @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh
    i, f, g, o = (gates[:, HIDDEN * n : HIDDEN * (n + 1)] for n in range(4))
    c = ad.sigmoid(f) * c + ad.sigmoid(i) * ad.tanh(g)
    return ad.sigmoid(o) * ad.tanh(c), c


x, h, c = (ad.random.normal((2, size), dtype=ad.float64) for size in (INPUT, HIDDEN, HIDDEN))
gaps = [ad.max(ad.abs(a - b)).item() for a, b in zip(by_hand(x, h, c), cell(x, (h, c)), strict=True)]
gradients: list[list[ad.Tensor]] = []
for step in (by_hand, lambda x, h, c: cell(x, (h, c))):
    new_h, new_c = step(x, h, c)
    (new_h * new_h + ad.sin(new_c)).sum().backward()
    gradients.append([parameter.grad for parameter in cell.parameters()])
    cell.zero_grad()
gaps += [ad.max(ad.abs(a - b)).item() for a, b in zip(*gradients, strict=True)]
print(f"the cell by hand and the library's: values and gradients differ by {max(gaps):.1e} at most")
assert max(gaps) < 1e-12

# The layer is the cell, step after step; its last state is the last output.
layer = nn.LSTM(INPUT, HIDDEN, batch_first=True, dtype=ad.float64)
layer.load_state_dict({f"{name}_l0": parameter for name, parameter in cell.named_parameters()})
sequence = ad.random.normal((2, 7, INPUT), dtype=ad.float64)
outputs, (last_h, last_c) = layer(sequence)
h = c = ad.zeros((2, HIDDEN), dtype=ad.float64)
for t in range(7):
    h, c = by_hand(sequence[:, t], h, c)
    assert ad.max(ad.abs(outputs[:, t] - h)).item() < 1e-12
assert ad.max(ad.abs(last_h[0] - h)).item() < 1e-12 > ad.max(ad.abs(last_c[0] - c)).item()

# How much the last state still hears of the first input. In a plain network each step multiplies by the same matrix and
# by a slope of tanh; in the LSTM, c passes each step times f alone, and f near 1 keeps it.
LENGTH, WIDTH = 60, 16


def heard(network: nn.Module) -> list[float]:
    """The size of the gradient that the last output sends to the input of each step."""
    x = ad.random.normal((1, LENGTH, WIDTH), dtype=ad.float64).requires_grad_()
    network(x)[0][:, -1].sum().backward()
    return ad.norm(x.grad[0], axis=1).tolist()


ad.manual_seed(0)
plain = nn.RNN(WIDTH, WIDTH, batch_first=True, dtype=ad.float64)
ad.manual_seed(0)
remembering = nn.LSTM(WIDTH, WIDTH, batch_first=True, dtype=ad.float64)
with ad.no_grad():
    # Forget nothing to begin with: a bias of 5 makes f about 0.99.
    remembering.bias_ih_l0[WIDTH : 2 * WIDTH] = 5.0
rnn, lstm = heard(plain), heard(remembering)
print(
    f"RNN and LSTM hear {rnn[-1]:.2f} and {lstm[-1]:.2f} of the last input, {rnn[0]:.1e} and {lstm[0]:.1e} of the first"
)
assert rnn[0] < 1e-8 * rnn[-1], "it has vanished"
assert lstm[0] > 0.01 * lstm[-1], "it is still there"


# A classifier of sequences: digits as eight rows of eight pixels, one row per step.
class Reader(nn.Module):
    """Reads the rows from top to bottom, then says which digit it was."""

    def __init__(self) -> None:
        self.lstm = nn.LSTM(8, 48, batch_first=True)
        self.head = nn.Linear(48, 10)

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        outputs, _ = self.lstm(x)
        return self.head(outputs[:, -1])


ad.manual_seed(0)
train_x, train_y, test_x, test_y = ad.data.digits()
reader = Reader()
history = ad.fit(
    reader,
    (train_x, train_y),
    "cross_entropy",
    optim.Adam(reader.parameters(), lr=5e-3),
    epochs=15,
    batch_size=48,
    metrics=["accuracy"],
    seed=0,
    verbose=0,
)
accuracy = ad.evaluate(reader, (test_x, test_y), "cross_entropy", ["accuracy"])["accuracy"]
print(f"read row by row, {accuracy:.1%} of {len(test_y)} held-out digits are recognised")
assert accuracy > 0.94
# What it would say after each row.
with ad.no_grad():
    outputs, _ = reader.lstm(test_x)
    by_row = (reader.head(outputs).argmax(axis=2) == ad.expand_dims(test_y, 1)).astype(ad.float32).mean(axis=0).tolist()
print("after each row:", "  ".join(f"{fraction:.0%}" for fraction in by_row))
assert by_row[0] < 0.3
assert by_row[-1] == max(by_row)

# A model of characters: what comes next?
TEXT = """the river runs down to the sea, and the rain runs down to the river.
the sea goes up to the clouds, and the clouds go over the hills.
the hills send the rain to the river, and the river runs down to the sea.
"""
letters = sorted(set(TEXT))
codes = ad.tensor([letters.index(letter) for letter in TEXT])
SPAN = 24


class Writer(nn.Module):
    """Scores of the next character, after each one."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(len(letters), 16)
        self.lstm = nn.LSTM(16, 64, batch_first=True)
        self.head = nn.Linear(64, len(letters))

    def forward(self, codes: ad.Tensor, state: tuple[ad.Tensor, ad.Tensor] | None = None) -> tuple[ad.Tensor, ...]:
        outputs, state = self.lstm(self.embedding(codes), state)
        return self.head(outputs), state


# What one gets by counting which character follows which.
pairs: dict[str, list[str]] = {}
for before, after in pairwise(TEXT):
    pairs.setdefault(before, []).append(after)
bits = [-log(pairs[before].count(after) / len(pairs[before])) for before, after in pairwise(TEXT)]
counted = sum(bits) / len(bits)

ad.manual_seed(0)
writer = Writer()
optimizer = optim.Adam(writer.parameters(), lr=1e-2)
starts = ad.arange(len(TEXT) - SPAN)
windows = codes[ad.expand_dims(starts, 1) + ad.arange(SPAN + 1)]  # every piece of the text [pieces, SPAN + 1]
losses: list[float] = []
for _ in range(20):
    for piece in ad.data.DataLoader(windows, batch_size=48, shuffle=True, seed=0, drop_last=True):
        scores, _ = writer(piece[:, :-1])
        loss = nn.functional.cross_entropy(scores.reshape(-1, len(letters)), piece[:, 1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(writer.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
print(f"choices per character: {len(letters)}, by pairs {exp(counted):.2f}, by the LSTM {exp(losses[-1]):.2f}")
assert losses[-1] < 0.5 * counted


def written(begin: str, length: int) -> str:
    """Goes on with a text: always the likeliest character, the state carried from one to the next."""
    text, state = begin, None
    fed = ad.tensor([[letters.index(letter) for letter in begin]])
    with ad.no_grad():
        for _ in range(length):
            scores, state = writer(fed, state)
            best = scores[0, -1].argmax().item()
            text += letters[best]
            fed = ad.tensor([[best]])
    return text


told = written("the rain runs ", 60)
print("it goes on:", repr(told))
known = sum(told[n : n + 8] in TEXT for n in range(len(told) - 8)) / (len(told) - 8)
assert told.startswith("the rain runs down to the ")
assert known > 0.8

figures = Path("figures")
if figures.is_dir():
    try:
        sizes = {"RNN": {"gradient": rnn}, "LSTM": {"gradient": lstm}}
        ad.plot.learning_curve(sizes, log=True, xlabel="step", path=figures / "22_heard.png")
        ad.plot.learning_curve(losses, xlabel="batch", path=figures / "22_characters.png")
    except ImportError as error:
        print("no picture:", error)
