import { dashboard } from "./dashboard.js";
import { bars, graph, quantiles, stat } from "./panels.js";

const PROBES = 'route!~"/livez|/readyz|/metrics"';
const SUBMIT = 'method="POST", route=~"/api/v3/[{]model:path[}]|/v1/predictions"';
const firing = (severity: string): string =>
  `count(ALERTS{alertname=~"Breakwater.+", alertstate="firing", severity="${severity}"}) or vector(0)`;

export const overview = dashboard({
  uid: "breakwater-overview",
  title: "Breakwater / Overview",
  description: "Whether Breakwater keeps its promises, what is asked of it and what comes of it. The runbooks say what each alert means.",
  rows: [
    {
      title: "Promises",
      panels: [
        stat({
          title: "Pages",
          description: "Alerts that fire and should get somebody up.",
          unit: "short",
          queries: [[firing("page"), "pages"]],
          steps: [[null, "green"], [1, "red"]],
          width: 3,
        }),
        stat({
          title: "Tickets",
          description: "Alerts that fire and should be looked at within a working day.",
          unit: "short",
          queries: [[firing("ticket"), "tickets"]],
          steps: [[null, "green"], [1, "orange"]],
          width: 3,
        }),
        bars({
          title: "How much error budget is left?",
          description: "Of what each objective allows in 30 days: 100 % means that nothing went wrong, below 0 the objective is missed.",
          unit: "percentunit",
          queries: [["breakwater:slo_budget_left:ratio30d", "{{slo}} {{route_class}}"]],
          steps: [[null, "red"], [0, "orange"], [0.25, "green"]],
          min: 0,
          max: 1,
          width: 9,
        }),
        graph({
          title: "How fast does the error budget burn?",
          description: "Over the last hour. At 1 a month's errors are used up in exactly a month; 14.4 is worth a page.",
          unit: "short",
          queries: [["breakwater:slo_burn:ratio1h", "{{slo}} {{route_class}}"]],
          steps: [[null, "green"], [1, "orange"], [14.4, "red"]],
          width: 9,
        }),
        stat({
          title: "Gateways up",
          description: "Gateways that Prometheus reaches.",
          unit: "short",
          queries: [['sum(up{job=~".*breakwater-gateway.*"})', "gateways"]],
          steps: [[null, "red"], [1, "green"]],
          width: 3,
        }),
        stat({
          title: "Workers up",
          description: "Workers that Prometheus reaches.",
          unit: "short",
          queries: [['sum(up{job=~".*breakwater-worker.*"})', "workers"]],
          steps: [[null, "red"], [1, "green"]],
          width: 3,
        }),
        stat({
          title: "Versions",
          description: "Processes by the version they run; two of them are normal during a rollout.",
          unit: "short",
          queries: [["count by (version) (breakwater_build_info)", "{{version}}"]],
          width: 6,
        }),
      ],
    },
    {
      title: "Requests",
      panels: [
        graph({
          title: "Requests, by status",
          description: "What callers are answered. 429 and 402 are their limits, 503 mostly means that Redis or the account is away.",
          unit: "reqps",
          queries: [[`sum by (status) (rate(breakwater_http_requests_total{${PROBES}}[$__rate_interval]))`, "{{status}}"]],
          stacked: true,
        }),
        graph({
          title: "Requests, by route",
          description: "What callers ask for; probes are left out.",
          unit: "reqps",
          queries: [[`sum by (route) (rate(breakwater_http_requests_total{${PROBES}}[$__rate_interval]))`, "{{route}}"]],
          stacked: true,
        }),
        graph({
          title: "Which share of requests fails, by class?",
          description: "Answered with 500, 503 or 504: what the availability objective counts. It allows one in a thousand.",
          unit: "percentunit",
          queries: [
            ['breakwater:slo_bad:rate5m{slo="availability"} / breakwater:slo_total:rate5m{slo="availability"}', "{{route_class}}"],
          ],
          steps: [[null, "green"], [0.001, "orange"], [0.0144, "red"]],
        }),
        graph({
          title: "How long does a submission take?",
          description: "From request to answer, WaveSpeed's part included. Requests held for their prediction's end are not among them.",
          unit: "s",
          queries: quantiles(`breakwater_http_request_duration_seconds_bucket{${SUBMIT}}`),
          steps: [[null, "green"], [2.5, "red"]],
        }),
        graph({
          title: "How long do reads of results take?",
          description: "What clients poll with. They only ask Redis, so they show how we are ourselves.",
          unit: "s",
          queries: quantiles('breakwater_http_request_duration_seconds_bucket{method="GET", route=~"/api/v3/predictions/.*|/v1/predictions/[{]id[}]"}'),
        }),
        graph({
          title: "Requests in flight",
          description: "Being answered at this moment, and how many of them are event streams or held for their prediction's end.",
          unit: "short",
          queries: [
            ["sum(breakwater_http_requests_in_flight)", "in flight"],
            ["sum(breakwater_streams_open)", "streams and held"],
          ],
        }),
      ],
    },
    {
      title: "Predictions",
      panels: [
        graph({
          title: "Submissions, by what came of them",
          description: "Started at WaveSpeed, queued for room in the account, refused, unconfirmed (nobody knows yet), replayed (the same Idempotency-Key).",
          unit: "ops",
          queries: [["sum by (outcome) (rate(breakwater_submissions_total[$__rate_interval]))", "{{outcome}}"]],
          stacked: true,
        }),
        graph({
          title: "Ends",
          description: "How predictions end. Failed is mostly WaveSpeed's verdict; expired ones count against an objective.",
          unit: "ops",
          queries: [["sum by (end) (rate(breakwater_predictions_ended_total[$__rate_interval]))", "{{end}}"]],
          stacked: true,
        }),
        graph({
          title: "Callbacks: how long after the end?",
          description: "Notify lag, from a prediction's end to the receiver's 2xx. The objective is 30 s for 95 of 100.",
          unit: "s",
          queries: quantiles("breakwater_notify_lag_seconds_bucket"),
          steps: [[null, "green"], [30, "red"]],
        }),
        graph({
          title: "Who waits for the account?",
          description: "Submissions in the queue because the WaveSpeed account has no room.",
          unit: "short",
          queries: [['max(breakwater_due_items{due_set="submit"})', "waiting"]],
        }),
        graph({
          title: "How long has the first in the queue waited?",
          description: "After an hour, unless set otherwise, a submission that waits expires.",
          unit: "s",
          queries: [['max(breakwater_oldest_due_age_seconds{due_set="submit"})', "first in the queue"]],
          steps: [[null, "green"], [1800, "orange"], [3600, "red"]],
        }),
        graph({
          title: "Predictions that are stuck",
          description: "They have not moved for their model's deadline and five minutes. `breakwater prediction stuck` lists them.",
          unit: "short",
          queries: [["max(breakwater_predictions_stuck)", "stuck"]],
          steps: [[null, "green"], [1, "red"]],
        }),
      ],
    },
  ],
});
