"""How fast arrayconv is beside its peers: ``python -m benchmarks`` from the repository root.

``cases`` says what is computed, ``ours``, ``numpy_peers``, ``torch_peers`` and ``jax_peers`` who
computes it, ``timing`` how they are timed, ``machine`` where, ``sections``, ``extras`` and ``train``
run them, ``parts`` finds where the time goes on NumPy, ``report`` makes ratios, tables and goals of
the times, ``plots`` the picture. ``gpu`` does the convolutions once more on a GPU. A new peer is a
function that returns a `Contender`, listed in ``sections``.
"""
