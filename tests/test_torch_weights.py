"""Weights of PyTorch modules, read into the same architecture: the predictions are the same."""

import numpy as np
import pytest
from reference_weights import filled, snapshot

from arrayconv import models

pytest.importorskip("safetensors")
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def torch_modules(torch):
    nn = torch.nn
    return [
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, groups=4),
        nn.PReLU(8),
        nn.Conv2d(8, 6, (3, 2), groups=2),
        nn.ConvTranspose2d(6, 5, 3, stride=2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.BatchNorm1d(5 * 4 * 6),
        nn.Dropout(0.5),
        nn.Linear(5 * 4 * 6, 7),
        nn.ReLU(),
        nn.Linear(7, 7),
        nn.LayerNorm(7),
        nn.Linear(7, 7, bias=False),
    ]


def torch_model():
    return models.Sequential(
        [
            models.Input((8, 9, 3)),
            models.Conv(4, 3, padding="same"),
            models.BatchNormalization(epsilon=1e-5),
            models.ReLU(),
            models.DepthwiseConv(3, depth_multiplier=2),
            models.PReLU(shared_axes=(1, 2)),
            models.Conv(6, (3, 2), groups=2),
            models.ConvTranspose(5, 3, strides=2),
            models.MaxPool(2),
            models.Flatten(),
            models.BatchNormalization(epsilon=1e-5),
            models.Dropout(0.5),
            models.Dense(7, activation="relu"),
            models.Dense(7),
            models.LayerNormalization(epsilon=1e-5),
            models.Dense(7, use_bias=False),
        ]
    )


def torch_filled(torch, net):
    """Give a module random weights and running averages, and return it ready to predict."""
    net = net.double()
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.from_numpy(np.abs(rng.standard_normal(tensor.shape)) / 3 + 0.05))
    return net.eval()


def predictions(torch, net, x):
    """What a channels_first module says of channels_last data."""
    with torch.no_grad():
        return net(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()


def torch_file(torch, net, path):
    import safetensors.torch

    safetensors.torch.save_file(net.state_dict(), path)
    return path


@pytest.mark.parametrize("as_file", [True, False])
def test_torch(torch, tmp_path, as_file):
    net = torch_filled(torch, torch.nn.Sequential(*torch_modules(torch)))
    ours = torch_model()
    x = rng.standard_normal((3, 8, 9, 3))
    ours(x)
    if as_file:
        ours.load_weights(torch_file(torch, net, tmp_path / "net.safetensors"))
    else:
        models.load_torch_weights(ours, net.state_dict())
    np.testing.assert_allclose(ours(x), predictions(torch, net, x), rtol=1e-10, atol=1e-12)


def test_torch_channels_first_needs_no_turning_of_features(torch):
    nn = torch.nn
    net = torch_filled(torch, nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(60, 4)))
    ours = models.Sequential(
        [
            models.Input((2, 5, 6)),
            models.Conv(3, 2, data_format="channels_first"),
            models.Flatten(),
            models.Dense(4),
        ]
    )
    x = rng.standard_normal((3, 2, 5, 6))
    ours(x)
    models.load_torch_weights(ours, net.state_dict())
    with torch.no_grad():
        np.testing.assert_allclose(ours(x), net(torch.from_numpy(x)).numpy(), rtol=1e-10)


def test_torch_with_two_flattened_branches(torch):
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(2, 3, 2), nn.Conv2d(2, 5, 3)
            self.fc = nn.Linear(3 * 20 + 5 * 12, 4)

        def forward(self, x):
            return self.fc(torch.cat([self.one(x).flatten(1), self.two(x).flatten(1)], dim=1))

    net = torch_filled(torch, Net())
    inputs = models.Input((5, 6, 2))
    flat = [models.Flatten()(models.Conv(f, k)(inputs)) for f, k in ((3, 2), (5, 3))]
    ours = models.Model(inputs, models.Dense(4)(models.Concatenate()(flat)))
    x = rng.standard_normal((3, 5, 6, 2))
    ours(x)
    models.load_torch_weights(ours, net.state_dict())
    np.testing.assert_allclose(ours(x), predictions(torch, net, x), rtol=1e-10)


@pytest.mark.parametrize("rank", [1, 3])
def test_torch_in_one_and_three_dimensions(torch, rank):
    nn = torch.nn
    conv, norm = getattr(nn, f"Conv{rank}d"), getattr(nn, f"BatchNorm{rank}d")
    size = (5, 6, 4)[:rank]
    cells = int(np.prod([n - 1 for n in size]))
    net = nn.Sequential(conv(2, 3, 2), norm(3), nn.Flatten(), nn.Linear(3 * cells, 4))
    torch_filled(torch, net)
    ours = models.Sequential(
        [
            models.Input((*size, 2)),
            models.Conv(3, 2),
            models.BatchNormalization(epsilon=1e-5),
            models.Flatten(),
            models.Dense(4),
        ]
    )
    x = rng.standard_normal((3, *size, 2))
    ours(x)
    models.load_torch_weights(ours, net.state_dict())
    np.testing.assert_allclose(ours(x), predictions(torch, net, x), rtol=1e-10)


def two_alike(torch):
    net = torch.nn.Module()
    net.second, net.first = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    return torch_filled(torch, net)


def test_modules_whose_order_a_file_does_not_tell(torch, tmp_path):
    net = two_alike(torch)
    path = torch_file(torch, net, tmp_path / "net.safetensors")
    ours = models.Sequential([models.Input((3,)), models.Dense(3), models.Dense(3)])
    before = snapshot(ours)
    with pytest.raises(
        ValueError, match=r"first and second hold .* which comes first; say it with names"
    ):
        ours.load_weights(path)
    assert snapshot(ours) == before
    models.load_torch_weights(ours, path, names={"dense": "second", "dense_1": "first"})
    want = [t.numpy().T for t in net.state_dict().values()]
    for got, w in zip(ours.get_weights(), want, strict=True):
        np.testing.assert_array_equal(got, w)
    # a state_dict keeps the order
    models.load_torch_weights(filled(ours), net.state_dict())
    for got, w in zip(ours.get_weights(), want, strict=True):
        np.testing.assert_array_equal(got, w)


def test_more_than_ten_modules_are_counted(torch, tmp_path):
    net = torch_filled(torch, torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(12))))
    path = torch_file(torch, net, tmp_path / "net.safetensors")
    ours = models.Sequential([models.Input((2,)), *(models.Dense(2) for _ in range(12))])
    ours.load_weights(path)
    for got, want in zip(ours.get_weights(), net.state_dict().values(), strict=True):
        np.testing.assert_array_equal(got, want.numpy().T)


def test_another_torch_architecture(torch, tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.BatchNorm2d(4))
    path = torch_file(torch, net, tmp_path / "net.safetensors")
    ours = models.Sequential([models.Input((9, 9, 3)), models.Conv(4, 3), models.Dense(2)])
    before = snapshot(ours)
    with pytest.raises(ValueError) as caught:
        ours.load_weights(path)
    text = str(caught.value)
    assert "no weights in the file for Conv 'conv', weight (4, 3, 3, 3), bias (4,)" in text
    assert "no weights in the file for Dense 'dense', weight (2, 4), bias (2,)" in text
    assert "no layer here for 0, bias (4,), weight (4, 3, 5, 5)" in text
    assert "no layer here for 1," in text
    assert snapshot(ours) == before


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"conv": "second"}, "a layer in names must be one of dense, dense_1, got 'conv'"),
        ({"dense": "third"}, r"names\['dense'\] must be one of first, second, got 'third'"),
    ],
)
def test_wrong_names(torch, names, message):
    ours = models.Sequential([models.Input((3,)), models.Dense(3), models.Dense(3)])
    with pytest.raises(ValueError, match=message):
        models.load_torch_weights(ours, two_alike(torch).state_dict(), names=names)
    wide = models.Sequential([models.Input((3,)), models.Dense(4)])
    with pytest.raises(
        ValueError, match=r"'dense' needs weight \(4, 3\).*first has weight \(3, 3\)"
    ):
        models.load_torch_weights(wide, two_alike(torch).state_dict(), names={"dense": "first"})


def test_torch_has_no_separable_convolution(torch):
    ours = models.Sequential([models.Input((5, 5, 2)), models.SeparableConv(3, 3)])
    with pytest.raises(ValueError, match="a SeparableConv is a DepthwiseConv and a Conv"):
        models.load_torch_weights(ours, {})


def test_torch_weights_of_a_half_type(torch, tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(3, 3)).bfloat16()
    path = torch_file(torch, net, tmp_path / "net.safetensors")
    ours = models.Sequential([models.Dense(3, input_shape=(3,))])
    ours.load_weights(path)
    want = net[0].weight.detach().float().numpy().T
    np.testing.assert_array_equal(ours.get_weights()[0], want)


def test_a_module_in_place_of_its_state_dict(torch):
    model = models.Sequential([models.Dense(2, input_shape=(3,))])
    with pytest.raises(TypeError, match=r"give module.state_dict\(\)"):
        models.load_torch_weights(model, torch.nn.Linear(3, 2))
