"""Train a small network with functions and plain arrays: no layer objects, no tape, no framework.

Run it with ``python examples/training_loop.py``; it needs scikit-learn for its 1797 pictures of digits.
"""

import numpy as np
from sklearn.datasets import load_digits

import arrayconv as ac

# any other library of the array API standard will do: jax.numpy, torch, cupy, ...
xp = np


def train(epochs=20, rate=0.2, seed=0):
    """Return the share of 297 held-out digits that the trained network reads correctly."""
    rng = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(labels))
    images = images[order].reshape(-1, 8, 8, 1).astype("float32") / 16
    x, test, digits = xp.asarray(images[:1500]), xp.asarray(images[1500:]), labels[order]
    shapes = (3, 3, 1, 16), (16,), (4 * 4 * 16, 10), (10,)
    draws = (rng.normal(0, np.prod(s[:-1]) ** -0.5, s) * (len(s) > 1) for s in shapes)
    w1, b1, w2, b2 = (xp.asarray(draw.astype("float32")) for draw in draws)
    one = xp.ones((), dtype=xp.float32)

    for epoch in range(epochs):
        for batch in np.array_split(rng.permutation(1500), 50):
            a, target = x[batch], xp.asarray(digits[batch])
            z = ac.conv(a, w1, b1, padding="same")
            r = ac.relu(z)
            p = ac.max_pool(r, 2)
            f = ac.flatten(p)
            logits = ac.dense(f, w2, b2)

            dlogits, _ = ac.sparse_categorical_cross_entropy_vjp(
                one, logits, target, from_logits=True
            )
            df, dw2, db2 = ac.dense_vjp(dlogits, f, w2, b2)
            dr = ac.max_pool_vjp(ac.flatten_vjp(df, p), r, 2, y=p)
            dz = ac.relu_vjp(dr, z)
            _, dw1, db1 = ac.conv_vjp(dz, a, w1, b1, padding="same", wrt=("w", "b"))

            w1, b1 = w1 - rate * dw1, b1 - rate * db1
            w2, b2 = w2 - rate * dw2, b2 - rate * db2
        p = ac.max_pool(ac.relu(ac.conv(test, w1, b1, padding="same")), 2)
        guess = xp.argmax(ac.dense(ac.flatten(p), w2, b2), axis=-1)
        accuracy = np.mean(ac.to_numpy(guess) == digits[1500:])
        print(f"epoch {epoch + 1}: {accuracy:.1%} of the held-out digits")
    return accuracy


if __name__ == "__main__":
    train()
