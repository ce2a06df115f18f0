import { choice, dashboard } from "./dashboard.js";
import { bars, graph, stat } from "./panels.js";

const OF = 'tenant=~"$tenant"';
const money = (kind: string): string => `max by (tenant) (breakwater_budget_dollars{${OF}, kind="${kind}"})`;

export const tenants = dashboard({
  uid: "breakwater-tenants",
  title: "Breakwater / Tenants",
  description: "What teams spend, how near to their limits they are, and what becomes of what they submit.",
  variables: [choice("tenant", "Tenant", "The teams to look at.", "breakwater_budget_dollars")],
  rows: [
    {
      title: "Money of this month",
      panels: [
        stat({
          title: "Settled",
          description: "What the chosen teams' completed predictions cost this month.",
          unit: "currencyUSD",
          queries: [[`sum(${money("settled")})`, "settled"]],
          decimals: 2,
        }),
        stat({
          title: "Held",
          description: "What is set aside for predictions whose end, or whose price, is not known yet.",
          unit: "currencyUSD",
          queries: [[`sum(${money("held")})`, "held"]],
          decimals: 2,
        }),
        bars({
          title: "How much of each budget is used?",
          description: "Held and settled together, of the month's budget. Teams without a budget are not shown. At 100 % submissions are answered 402.",
          unit: "percentunit",
          queries: [[`(${money("held")} + ${money("settled")}) / ${money("limit")}`, "{{tenant}}"]],
          steps: [[null, "green"], [0.8, "orange"], [1, "red"]],
          min: 0,
          max: 1,
        }),
        bars({
          title: "Who spends most?",
          description: "The ten teams with the most settled this month.",
          unit: "currencyUSD",
          queries: [[`topk(10, ${money("settled")})`, "{{tenant}}"]],
          decimals: 2,
        }),
        graph({
          title: "Settled, by team",
          description: "It grows over the month, and begins anew on the first (UTC).",
          unit: "currencyUSD",
          queries: [[money("settled"), "{{tenant}}"]],
        }),
        graph({
          title: "Held, by team",
          description: "It falls when predictions end. What stays up belongs to canceled or expired ones WaveSpeed has not told about yet.",
          unit: "currencyUSD",
          queries: [[money("held"), "{{tenant}}"]],
        }),
        graph({
          title: "Spend in an hour, by team",
          description: "What was settled in the hour before.",
          unit: "currencyUSD",
          queries: [
            [`max by (tenant) (clamp_min(delta(breakwater_budget_dollars{${OF}, kind="settled"}[1h]), 0))`, "{{tenant}}"],
          ],
        }),
      ],
    },
    {
      title: "Limits",
      panels: [
        graph({
          title: "How near are teams to their limits?",
          description: "Share of each limit that is used; at 100 % the next submission is refused (or counted as shadow). Limits that are not set are not shown.",
          unit: "percentunit",
          queries: [[`max by (tenant, limit) (breakwater_quota_used_ratio{${OF}})`, "{{tenant}} {{limit}}"]],
          steps: [[null, "green"], [0.8, "orange"], [1, "red"]],
          width: 12,
        }),
        graph({
          title: "What do limits say to submissions?",
          description: "Ok, near (80 % or more is used), refused, or shadow (it would have refused). Each limit speaks of each submission.",
          unit: "ops",
          queries: [
            [`sum by (limit, decision) (rate(breakwater_quota_decisions_total{${OF}}[$__rate_interval])) > 0`, "{{limit}} {{decision}}"],
          ],
          width: 12,
        }),
        graph({
          title: "Refused, by team and limit",
          description: "Submissions answered 429, or 402 where it is the budget. Nothing was charged for them.",
          unit: "ops",
          queries: [
            [`sum by (tenant, limit) (rate(breakwater_quota_decisions_total{${OF}, decision="refused"}[$__rate_interval]))`, "{{tenant}} {{limit}}"],
          ],
          width: 12,
        }),
        bars({
          title: "Who was refused most in a day?",
          description: "Refusals by any limit in the last 24 hours, the ten teams with the most.",
          unit: "short",
          queries: [
            [`topk(10, sum by (tenant) (increase(breakwater_quota_decisions_total{${OF}, decision="refused"}[1d])))`, "{{tenant}}"],
          ],
          decimals: 0,
          width: 12,
        }),
      ],
    },
    {
      title: "Predictions",
      panels: [
        graph({
          title: "Submissions, by team",
          description: "Everything that was admitted, or refused by WaveSpeed.",
          unit: "ops",
          queries: [[`sum by (tenant) (rate(breakwater_submissions_total{${OF}}[$__rate_interval]))`, "{{tenant}}"]],
          stacked: true,
        }),
        graph({
          title: "Submissions, by model",
          description: "What the chosen teams ask for.",
          unit: "ops",
          queries: [[`sum by (model) (rate(breakwater_submissions_total{${OF}}[$__rate_interval]))`, "{{model}}"]],
          stacked: true,
        }),
        graph({
          title: "Ends, by team",
          description: "How the chosen teams' predictions end.",
          unit: "ops",
          queries: [[`sum by (tenant, end) (rate(breakwater_predictions_ended_total{${OF}}[$__rate_interval])) > 0`, "{{tenant}} {{end}}"]],
        }),
        graph({
          title: "Which share is completed, by team?",
          description: "Of the predictions that ended in the hour before. What fails costs nothing, but somebody waited for it.",
          unit: "percentunit",
          queries: [
            [
              `sum by (tenant) (increase(breakwater_predictions_ended_total{${OF}, end="completed"}[1h])) / (sum by (tenant) (increase(breakwater_predictions_ended_total{${OF}}[1h])) > 0)`,
              "{{tenant}}",
            ],
          ],
          max: 1,
          width: 12,
        }),
        graph({
          title: "Which share is completed, by model?",
          description: "A model that fails for everybody is WaveSpeed's trouble, or about to be retired.",
          unit: "percentunit",
          queries: [
            [
              `sum by (model) (increase(breakwater_predictions_ended_total{${OF}, end="completed"}[1h])) / (sum by (model) (increase(breakwater_predictions_ended_total{${OF}}[1h])) > 0)`,
              "{{model}}",
            ],
          ],
          max: 1,
          width: 12,
        }),
      ],
    },
  ],
});
