"""What answers say of a model that is on its way out: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), its successor."""

from email.utils import formatdate

from service.domain.catalogue import Model, ModelState


def deprecation_headers(model: Model) -> dict[str, str]:
    """The headers, for a deprecated model alone."""
    if model.state is not ModelState.DEPRECATED:
        return {}
    headers = {"deprecation": f"@{model.deprecated_at_ms // 1000}"}
    if model.sunset_at_ms:
        headers["sunset"] = formatdate(model.sunset_at_ms / 1000, usegmt=True)
    if model.replacement:
        headers["link"] = f'</v1/models/{model.replacement}>; rel="successor-version"'
    return headers
