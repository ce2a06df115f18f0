"""The models the simulator knows: what they take and what a run costs."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

DEFAULT_DURATION_S: Final = 4
"""Seconds of video that a run has, and is charged for, when the inputs do not say."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `price` is in dollars a run, or a second of video where `per_second` is set."""

    id: str
    name: str
    kind: str
    price: Decimal
    required: tuple[str, ...]
    optional: dict[str, Any] = field(default_factory=dict)
    per_second: bool = False

    @property
    def makes_images(self) -> bool:
        """Whether a run gives a picture, and not a video."""
        return self.kind.endswith("image")

    def missing(self, inputs: dict[str, Any]) -> list[str]:
        """The required inputs that are absent, empty or no text."""
        return [name for name in self.required if not isinstance(inputs.get(name), str) or not inputs[name]]

    def invalid(self, inputs: dict[str, Any]) -> list[str]:
        """The inputs whose value is none of those the model offers; inputs it does not know are ignored."""
        offered = {name: rule["enum"] for name, rule in self.optional.items() if "enum" in rule}
        return [name for name, values in offered.items() if name in inputs and inputs[name] not in values]

    def cost(self, inputs: dict[str, Any]) -> Decimal:
        """What a run costs, in dollars. The inputs must have passed `invalid`."""
        return self.price * int(inputs.get("duration", DEFAULT_DURATION_S)) if self.per_second else self.price

    def schema(self) -> dict[str, Any]:
        """The inputs as JSON Schema, as `/models` lists them."""
        properties = {name: {"type": "string"} for name in self.required} | self.optional
        return {"type": "object", "required": list(self.required), "properties": properties}


_ASPECT: Final = {"aspect_ratio": {"type": "string", "enum": ["9:16", "16:9"], "default": "9:16"}}
_DURATION: Final = {"duration": {"type": "integer", "enum": [4, 8, 12, 16, 20], "default": DEFAULT_DURATION_S}}
_SIZE: Final = {"size": {"type": "string", "enum": ["720*1280", "1280*720"], "default": "720*1280"}}
_PRO_SIZE: Final = {
    "size": {
        "type": "string",
        "enum": ["720*1280", "1280*720", "1024*1792", "1792*1024", "1080*1920", "1920*1080"],
        "default": "720*1280",
    }
}
_RESOLUTION: Final = {"resolution": {"type": "string", "enum": ["720p", "1080p"], "default": "720p"}}
_IMAGE: Final = {"image": {"type": "string"}}
_CHARACTERS: Final = {"characters": {"type": "array", "items": {"type": "string"}}}

_TEXT: Final = ("prompt",)
_TEXT_AND_IMAGE: Final = ("image", "prompt")
_RUN, _SECOND, _PRO_SECOND = Decimal("0.4"), Decimal("0.1"), Decimal("0.3")


def _video(
    model_id: str, name: str, price: Decimal, required: tuple[str, ...], optional: dict[str, Any], per_second: bool
) -> Model:
    """A model that makes videos, of text or of an image with text."""
    kind = "image-to-video" if "image" in required else "text-to-video"
    return Model(model_id, name, kind, price, required, optional, per_second)


MODELS: Final = {
    model.id: model
    for model in (
        _video("openai/sora-2", "Sora 2", _RUN, _TEXT, _IMAGE | _ASPECT, False),
        _video("openai/sora-2/text-to-video", "Sora 2", _SECOND, _TEXT, _SIZE | _DURATION | _CHARACTERS, True),
        _video("openai/sora-2/image-to-video", "Sora 2", _SECOND, _TEXT_AND_IMAGE, _DURATION, True),
        _video("openai/sora-2/text-to-video-pro", "Sora 2 Pro", _PRO_SECOND, _TEXT, _PRO_SIZE | _DURATION, True),
        _video("openai/sora-2-pro/text-to-video", "Sora 2 Pro", _PRO_SECOND, _TEXT, _PRO_SIZE | _DURATION, True),
        _video(
            "openai/sora-2-pro/image-to-video", "Sora 2 Pro", _PRO_SECOND, _TEXT_AND_IMAGE, _RESOLUTION | _DURATION, True
        ),
        Model("wavespeed-ai/flux-dev", "FLUX dev", "text-to-image", Decimal("0.012"), _TEXT),
    )
}
"""Every model, by id."""
