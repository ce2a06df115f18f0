"""`/admin/v1/usage` and `/admin/v1/audit`: what tenants used, and what operators did."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.errors import FieldError, InvalidInput
from service.domain.usage import UsageRow, usage_csv
from service.http.queries import one_of, whole_number
from service.stores.audit_log import AuditLog
from service.usecases.report_usage import ReportUsage

MAX_AUDIT = 1_000
"""Most entries of the audit log one answer holds."""


class UsageShown(BaseModel):
    """What one tenant did with one model on one UTC day of admission. Money is dollars as text."""

    tenant: str
    day: str
    model: str
    admitted: int = Field(description="Predictions admitted, without those WaveSpeed refused.")
    refused: int = Field(description="Submissions WaveSpeed refused; they cost nothing.")
    completed: int
    failed: int
    canceled: int
    expired: int
    held_usd: str
    settled_usd: str
    released_usd: str

    @classmethod
    def show(cls, row: UsageRow) -> "UsageShown":
        """Show a row."""
        return cls.model_validate(row.shown())


class Usage(BaseModel):
    """Rows by tenant, day and model."""

    data: list[UsageShown]


class AuditShown(BaseModel):
    """One administrative action."""

    at: str
    actor: str
    action: str
    tenant: str
    detail: dict[str, Any]


class Audit(BaseModel):
    """The newest administrative actions, newest first."""

    data: list[AuditShown]


@dataclass(frozen=True, slots=True)
class ReportHandlers:
    """Usage and audit."""

    report: ReportUsage
    log: AuditLog

    async def usage(self, request: Request) -> Response:
        """Answer usage in JSON, or as CSV with `?format=csv`."""
        wanted = request.query_params
        form = one_of(request, "format", ("json", "csv"))
        rows = await self.report(wanted.get("tenant", ""), _day(request, "since"), _day(request, "until"))
        if form == "csv":
            return Response(usage_csv(rows), media_type="text/csv")
        shown = Usage(data=[UsageShown.show(row) for row in rows])
        return Response(shown.model_dump_json(), media_type="application/json")

    async def audit(self, request: Request) -> Response:
        """Answer the newest actions, `?limit=` of them."""
        entries = await self.log.newest(whole_number(request, "limit", 100, MAX_AUDIT))
        shown = Audit(data=[AuditShown(**asdict(entry)) for entry in entries])
        return Response(shown.model_dump_json(), media_type="application/json")


def _day(request: Request, name: str) -> str:
    """A day as it was given, "" when it was not. Raises `InvalidInput` for one that is there and empty."""
    given = request.query_params.get(name)
    if given == "":
        raise InvalidInput([FieldError(name, "must be a day such as 2026-01-31")])
    return given or ""
