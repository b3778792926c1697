"""Chapter 2, XOR with a hidden layer: what one unit cannot, three can.

y = H(w.relu(W.x + c) + b), with Heaviside's step H: 0 below zero, 1 from zero on.
Shows weights found by hand that solve XOR, and a network that finds its own.
"""

import adret as ad
from adret import nn, optim

inputs = ad.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
targets = ad.tensor([0.0, 1.0, 1.0, 0.0])


def heaviside(x: ad.Tensor) -> ad.Tensor:
    """0 below zero, 1 from zero on."""
    return (x >= 0).astype(ad.float32)


# By hand: both hidden units add the inputs, the second fires only at (1, 1) and then outweighs the first.
W = ad.tensor([[1.0, 1.0], [1.0, 1.0]])
c = ad.tensor([0.0, -1.0])
w = ad.tensor([1.0, -2.0])
b = -0.5
hidden = nn.functional.relu(inputs @ W + c)
by_hand = heaviside(hidden @ w + b)
print("hidden layer found by hand:", hidden.tolist())
print("output found by hand:", by_hand.tolist())
assert by_hand.tolist() == targets.tolist()

# Learned: the same form with eight hidden units; the step gives way to the cross-entropy, which has a slope.
ad.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))
loss_function = nn.BCEWithLogitsLoss()
optimizer = optim.Adam(net.parameters(), lr=0.05)
for step in range(301):
    loss = loss_function(net(inputs), targets)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if step % 100 == 0:
        print(f"step {step}: loss {loss.item():.4f}")

learned = heaviside(net(inputs).detach())
print("output learned:", learned.tolist())
assert learned.tolist() == targets.tolist()
assert loss.item() < 0.05
