"""The models the simulator knows: what they take and what a run costs."""

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `price` is in dollars a run, or a second of video where `per_second` is set."""

    id: str
    name: str
    kind: str
    price: float
    required: tuple[str, ...]
    optional: dict[str, Any] = field(default_factory=dict)
    per_second: bool = False

    def cost(self, inputs: dict[str, Any]) -> float:
        """What a run with these inputs costs, in dollars."""
        duration = inputs.get("duration", 4)
        seconds = duration if isinstance(duration, int | float) and not isinstance(duration, bool) else 4
        return round(self.price * seconds, 6) if self.per_second else self.price

    def schema(self) -> dict[str, Any]:
        """The inputs as JSON Schema, as `/models` lists them."""
        properties = {name: {"type": "string"} for name in self.required} | self.optional
        return {"type": "object", "required": list(self.required), "properties": properties}


_ASPECT: Final = {"aspect_ratio": {"type": "string", "enum": ["9:16", "16:9"], "default": "9:16"}}
_DURATION: Final = {"duration": {"type": "integer", "enum": [4, 8, 12, 16, 20], "default": 4}}
_SIZE: Final = {"size": {"type": "string", "enum": ["720*1280", "1280*720"], "default": "720*1280"}}
_IMAGE: Final = {"image": {"type": "string"}}

MODELS: Final = {
    model.id: model
    for model in (
        Model("openai/sora-2", "Sora 2", "text-to-video", 0.4, ("prompt",), _IMAGE | _ASPECT),
        Model("openai/sora-2/text-to-video", "Sora 2", "text-to-video", 0.1, ("prompt",), _SIZE | _DURATION, True),
        Model("openai/sora-2/image-to-video", "Sora 2", "image-to-video", 0.1, ("image", "prompt"), _DURATION, True),
        Model(
            "openai/sora-2-pro/text-to-video",
            "Sora 2 Pro",
            "text-to-video",
            0.3,
            ("prompt",),
            _SIZE | _DURATION,
            True,
        ),
        Model(
            "openai/sora-2-pro/image-to-video",
            "Sora 2 Pro",
            "image-to-video",
            0.3,
            ("image", "prompt"),
            {"resolution": {"type": "string", "enum": ["720p", "1080p"]}} | _DURATION,
            True,
        ),
        Model(
            "openai/sora-2/text-to-video-pro",
            "Sora 2 Pro",
            "text-to-video",
            0.3,
            ("prompt",),
            _SIZE | _DURATION,
            True,
        ),
        Model("wavespeed-ai/flux-dev", "FLUX dev", "text-to-image", 0.012, ("prompt",)),
    )
}
"""Every model, by id."""
