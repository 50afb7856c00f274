"""Train one model in several processes: each reads its own rows, the first prints and writes, all get the same weights.

Run it with ``python examples/train_on_several.py several.safetensors``: it starts two processes of two devices each
on this machine. On several machines, start ``work`` on each with the address of the first. It needs JAX and
scikit-learn, for its 1797 pictures of digits.
"""

import os
import socket
import subprocess
import sys

DEVICES = "--xla_force_host_platform_device_count=2"


def digits():
    """Return the training and the held-out digits; any memory-mapped or h5 file will do as well."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    return (images[:1500], labels[:1500]), (images[1500:], labels[1500:])


def network():
    """Return the compiled model."""
    from arrayconv import models

    models.utils.set_random_seed(0)
    model = models.Sequential(
        [
            models.Conv(16, 3, padding="same", activation="relu", input_shape=(8, 8, 1)),
            models.MaxPool(2),
            models.Flatten(),
            models.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def work(address, processes, number, path):
    """Be one of the processes."""
    import jax
    from jax.experimental.multihost_utils import assert_equal
    from jax.sharding import NamedSharding, PartitionSpec

    from arrayconv.data import Batches

    jax.distributed.initialize(address, processes, number)
    rows = NamedSharding(jax.make_mesh((jax.device_count(),), ("batch",)), PartitionSpec("batch"))
    train, test = (Batches(*part, batch_size=64, sharding=rows) for part in digits())
    model = network()
    model.fit(train, validation_data=test, epochs=5)
    assert_equal(model.weights, "the weights differ between the processes")
    model.save(path)


def main(path, processes=2):
    """Start the processes on this machine, and wait for them."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": DEVICES}
    arguments = [sys.executable, __file__, path, address, str(processes)]
    started = [
        subprocess.Popen([*arguments, str(number)], env=environment) for number in range(processes)
    ]
    if sum(process.wait() != 0 for process in started):
        raise SystemExit("a process failed")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[1])
