"""What a model's file is told to be, whatever it is called; and what it is instead."""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from testkit.images.model_files import any_batch, choice, saved, torchscript
from visionfleet.errors import BadModel
from visionfleet.model.file_kinds import kind_of
from visionfleet.model.loading import load

pytestmark = pytest.mark.needs_torch

WEIGHTS = {"weight": torch.zeros(2, 2)}


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"content")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pt"), io.BytesIO())
    return buffer.getvalue()


def onnx(graph: int = 10) -> bytes:
    """The version of the format, and a graph of so many bytes that has ten."""
    return b"\x08\x0a" + bytes([7 << 3 | 2, graph]) + bytes(10)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (lambda: saved(WEIGHTS), "tensors"),
        (lambda: saved(WEIGHTS, old=True), "tensors"),
        (lambda: save_safetensors(WEIGHTS), "safetensors"),
        (torchscript, "torchscript"),
        (any_batch, "exported"),
        (onnx, "onnx"),
        (lambda: b"VFLEET02" + bytes(80), "artefact"),
    ],
)
def test_content_tells_the_kind(data: Callable[[], bytes], kind: str) -> None:
    assert kind_of(data(), "x") == kind


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 46830571\n"
OTHERS = [
    (b"", "is empty: copy or download it again"),
    (bytes(5000), "holds nothing but zeros: copy or download it again"),
    (b"\n <!DOCTYPE html>\n<html><body>Sign in", "is a web page, not a model: download the file"),
    (b"<HTML><head>", "is a web page"),
    (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is an XML document"),
    (POINTER, "is a pointer of Git LFS, not a model: fetch the file: git lfs pull"),
    (b'{"architectures": ["ViTModel"]}', "is JSON, not a model"),
    (b"tench\ngoldfish\n", r"is text, not a model \('tench'\)"),
    (tarred(), "is a tar archive, not a model: unpack it"),
    (gzip.compress(b"model"), "is a gzip archive, not a model: unpack it"),
    (zipped("model.pt"), r"is a ZIP archive \(model.pt\), not a model: unpack it"),
    (zipped("model.weights.h5"), "is a model of Keras: save the model as ONNX"),
    (b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file, as of Keras, not a model: save"),
    (b"\x1c\0\0\0TFL3" + bytes(99), "is a model of TensorFlow Lite: save the model as ONNX"),
    (pickle.dumps({"a": 1}), "is a Python pickle, and code from a file is never run"),
    (b"\xff\xd8\xff\xe0" + bytes(99), "is a JPEG image"),
    (onnx(200), "an ONNX file that is cut short: copy or download it again"),
    (saved(WEIGHTS)[:-200], "cut short or damaged: copy or download it again"),
    (save_safetensors(WEIGHTS)[:-3], "a safetensors file that is cut short, 85 of 88 bytes"),
    (save_safetensors(WEIGHTS)[:30], "a safetensors file that is cut short"),
    (b"\xde\xad\xbe\xef" * 99, "is no model of a kind that is known"),
    (b"\n\x10\n\x05input\x12\x0bPlaceholder" + bytes(9), "is no model .* save it as ONNX"),
    (b"ftrt" + bytes(99), "is an engine of TensorRT, for one kind of GPU, not a model: save"),
    (zipped("fc.weight.npy"), "holds arrays of NumPy: save them as safetensors"),
]


@pytest.mark.parametrize(("data", "told"), OTHERS, ids=[told[:25] for _, told in OTHERS])
def test_what_is_no_model_is_named(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(BadModel, match=f"model.bin: {told}"):
        load(choice(tmp_path, data, architecture="resnet18"))


def test_any_cut_of_a_model_is_one_sentence() -> None:
    for whole in (saved(WEIGHTS), save_safetensors(WEIGHTS), onnx()):
        for length in range(0, len(whole) - 1, 7):
            with pytest.raises(BadModel) as caught:
                kind_of(whole[:length], "x")
            assert "\n" not in str(caught.value)
            assert "zip file" not in str(caught.value)


@pytest.mark.parametrize(
    ("saved_value", "told"),
    [
        (nn.Linear(2, 2), r"holds Python objects \(torch.nn.modules.linear.Linear\)"),
        (
            torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1, momentum=0.9).state_dict(),
            "holds the state of an optimizer, and no weights",
        ),
        ({"epoch": 3}, "holds no state dict: no tensors by name"),
        ([torch.zeros(2)], r"holds a list, not a state dict: torch.save\("),
    ],
)
def test_files_of_torch_without_weights_say_so(
    tmp_path: Path, saved_value: object, told: str
) -> None:
    with pytest.raises(BadModel, match=told):
        load(choice(tmp_path, saved(saved_value), architecture="resnet18"))


def test_onnx_and_folders_as_a_model_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"is an ONNX file; .* model import .*model.bin"):
        load(choice(tmp_path, onnx()))
    with pytest.raises(BadModel, match="Is a directory"):
        load(choice(tmp_path, b"", path=str(tmp_path)))
