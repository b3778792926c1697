"""Chapter 15, CPU or GPU? A GPU is useful only if the computation takes longer than bringing the data there and back.

Measures, over sizes, the product of two n x n matrices on the CPU and on the GPU: the computation alone, and with both
copies. n^3 multiplications stand against 3 n^2 numbers to copy, so from some size on the GPU pays, if it is the faster
one. Then the same for a sum of two vectors, where it never does. Writes a picture into `figures/` where matplotlib is
installed and the folder exists. Without a GPU it shows the CPU's side.
"""

import time
from collections.abc import Callable
from pathlib import Path

import adret as ad

devices = ["cpu", *(["gpu"] if "gpu" in ad.devices() else [])]
for name in devices:
    print(f"{name}: {ad.devices()[name]['name']}")
if len(devices) == 1:
    print("There is no GPU here: `python -m adret.info` says why. The CPU alone:")


def seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """The shortest of several runs, after one to warm up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def wait(x: ad.Tensor) -> None:
    """`eval` hands the work over, and on a GPU it goes on by itself: one number read back is the end of it."""
    ad.eval(x)
    x.reshape(-1)[0].item()


def measure(operation: Callable[[ad.Tensor, ad.Tensor], ad.Tensor], shape: tuple[int, ...]) -> dict[str, float]:
    """Seconds of the operation on each device, and on the GPU with the copies."""
    here = [ad.random.normal(shape), ad.random.normal(shape)]
    found = {}
    for device in devices:
        there = [x.to(device) for x in here]
        found[device] = seconds(lambda there=there: wait(operation(*there)))
    if "gpu" in devices:
        found["gpu with copies"] = seconds(lambda: operation(*(x.to("gpu") for x in here)).cpu().numpy())
    return found


ad.manual_seed(0)
sizes = [16, 32, 64, 128, 256, 512]
products = {n: measure(ad.matmul, (n, n)) for n in sizes}
sums = {n * n: measure(ad.add, (n * n,)) for n in sizes}
for title, table in (("matrix product, n x n", products), ("sum of two vectors of n", sums)):
    print(f"\n{title}: milliseconds")
    for n, times in table.items():
        print(f"{n:8}  " + "   ".join(f"{name} {1e3 * value:8.3f}" for name, value in times.items()))
    won = [n for n, times in table.items() if times.get("gpu with copies", float("inf")) < times["cpu"]]
    if "gpu" in devices:
        print(f"the GPU is worth its copies {f'from {won[0]} on' if won else 'at none of these sizes'}")
assert all(value > 0 for table in (products, sums) for times in table.values() for value in times.values())

figures = Path("figures")
if figures.is_dir():
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("matplotlib is not installed: no picture")
    else:
        figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
        for axis, title, table in zip(axes, ("matrix product", "sum"), (products, sums), strict=True):
            for name in next(iter(table.values())):
                axis.loglog(list(table), [times[name] for times in table.values()], "o-", label=name)
            axis.set(title=title, xlabel="n", ylabel="seconds")
            axis.legend()
        figure.savefig(figures / "15_cpu_or_gpu.png")
