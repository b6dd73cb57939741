"""The same model behind LitServe, batched as its documentation advises, on $PORT."""

import os
from io import BytesIO
from typing import Any

import litserve
import torch
from fastapi import Request
from PIL import Image
from torchvision import transforms

from visionfleet.config import load
from visionfleet.model.loading import load as load_model


class Labels(litserve.LitAPI):  # type: ignore[misc]
    """Decode, batch, predict, encode."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        config = load(None, os.environ).config
        torch.set_num_threads(config.model.threads or 2)
        self.loaded = load_model(config.model)
        how = self.loaded.preprocessing
        self.transform = transforms.Compose(
            [
                transforms.Resize(how.resize),
                transforms.CenterCrop(how.crop),
                transforms.ToTensor(),
                transforms.Normalize(how.mean, how.std),
            ]
        )

    def decode_request(self, request: Request, **_: Any) -> torch.Tensor:
        image = Image.open(BytesIO(request["file"].file.read())).convert("RGB")
        tensor: torch.Tensor = self.transform(image)
        return tensor

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(inputs)

    def predict(self, x: torch.Tensor, **_: Any) -> list[int]:
        with torch.inference_mode():
            found: list[int] = self.loaded.module(x).argmax(dim=1).tolist()
        return found

    def unbatch(self, output: list[int]) -> list[int]:
        return output

    def encode_response(self, output: int, **_: Any) -> dict[str, str]:
        return {"label": self.loaded.labels[output]}


if __name__ == "__main__":
    api = Labels(max_batch_size=8, batch_timeout=0.01)
    server = litserve.LitServer(api, accelerator="cpu", timeout=120)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)
