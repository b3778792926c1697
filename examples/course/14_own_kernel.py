"""Chapter 14, a kernel of one's own: the product of a matrix and a vector on a GPU, written as text.

y_i = sum_j a_ij x_j. Every row of the result is one work item: thousands of them run at the same time, and none needs
to know of the others. The gradient is written down too: dL/da = g x^T and dL/dx = a^T g, the second one by a kernel
again. Both are compared with `matmul`. Needs a GPU; a software one where ADRET_ALLOW_SOFTWARE_GPU=1 admits it.
"""

import sys

import adret as ad

if "gpu" not in ad.devices():
    print("There is no GPU here, so nothing can be shown. `python -m adret.info` says what is missing;")
    print("ADRET_ALLOW_SOFTWARE_GPU=1 admits a GPU in software, such as Mesa's llvmpipe.")
    sys.exit()

# One work item per row. The arrays `a`, `x`, `y` and their sizes are declared by `ad.kernel`.
ROWS = """
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if (row >= y_size) {  // the last workgroup is not full
        return;
    }
    var sum = 0.0;
    for (var column = 0u; column < x_size; column++) {
        sum += a[row * x_size + column] * x[column];
    }
    y[row] = sum;
}
"""
# The same with the transposed matrix: one work item per column of `a`.
COLUMNS = ROWS.replace("a[row * x_size + column]", "a[column * y_size + row]")


def groups(count: int) -> int:
    """Workgroups of 64 work items that are enough for so many."""
    return (count + 63) // 64


def gradient(inputs, outputs, grads):
    """Those of the matrix and of the vector, from that of the product."""
    a, x = inputs
    (grad,) = grads
    return ad.outer(grad, x), times_transposed(a, grad)


times = ad.kernel(
    ROWS,
    inputs=["a", "x"],
    outputs={"y": lambda a, x: a.shape[0]},
    grid=lambda a, x: groups(a.shape[0]),
    vjp=gradient,
    name="times",
)
times_transposed = ad.kernel(
    COLUMNS,
    inputs=["a", "x"],
    outputs={"y": lambda a, x: a.shape[1]},
    grid=lambda a, x: groups(a.shape[1]),
    name="times_transposed",
)

ad.manual_seed(0)
values, vector = ad.random.normal((300, 200)), ad.random.normal((200,))
results = []
for product in (times, ad.matmul):
    a = values.to("gpu").requires_grad_()
    x = vector.to("gpu").requires_grad_()
    y = product(a, x)
    (y**2).sum().backward()
    results.append([y.detach(), a.grad, x.grad])
for name, own, library in zip(("the product", "the gradient of a", "the gradient of x"), *results, strict=True):
    distance, size = ad.max(ad.abs(own - library)).item(), ad.max(ad.abs(library)).item()
    print(f"{name}: largest difference from matmul {distance:.1e}, largest element {size:.1f}")
    assert distance <= 1e-5 * size

# What is wrong with a kernel is told with its line.
told = ""
try:
    ad.kernel(ROWS.replace("sum +=", "sun +="), ["a", "x"], {"y": 300}, grid=groups(300))(a.detach(), x.detach())
except ad.DomainError as error:
    told = str(error)
print(f"a mistake in the text: {told}")
assert "line 10" in told
assert "sun" in told
