import { dashboard } from "./dashboard.js";
import { graph, quantiles, stat } from "./panels.js";

export const webhooks = dashboard({
  uid: "breakwater-webhooks",
  title: "Breakwater / Webhooks",
  description: "Callbacks to teams: attempts, how late they arrive, what waits, what was given up, and receivers in trouble.",
  rows: [
    {
      title: "Now",
      panels: [
        stat({
          title: "Pending",
          description: "Deliveries that wait for their next attempt, or are under way.",
          unit: "short",
          queries: [["max(breakwater_deliveries_pending)", "pending"]],
        }),
        stat({
          title: "Dead letters",
          description: "Deliveries that were given up and can be sent again: `breakwater delivery dead`.",
          unit: "short",
          queries: [["max(breakwater_dead_letters)", "dead letters"]],
          steps: [[null, "green"], [1, "orange"]],
        }),
        stat({
          title: "Receivers that are not there",
          description: "Their breaker is open: one delivery at a time tries, and others are not held up.",
          unit: "short",
          queries: [["max(breakwater_receiver_breakers_open)", "receivers"]],
          steps: [[null, "green"], [1, "orange"]],
        }),
        stat({
          title: "Endpoints enabled",
          description: "Registered endpoints that are sent events.",
          unit: "short",
          queries: [['max(breakwater_endpoints{state="enabled"})', "enabled"]],
        }),
        stat({
          title: "Endpoints disabled",
          description: "By their team, by an operator, because they answered 410, or because nothing arrived for five days.",
          unit: "short",
          queries: [['max(breakwater_endpoints{state="disabled"})', "disabled"]],
          steps: [[null, "green"], [1, "yellow"]],
        }),
        stat({
          title: "Within 30 s of the end",
          description: "Share of ends in the last hour whose receiver answered 2xx within 30 s: the objective is 95 %.",
          unit: "percentunit",
          queries: [
            [
              'sum(increase(breakwater_notify_lag_seconds_bucket{le="30.0"}[1h])) / sum(increase(breakwater_notify_lag_seconds_count[1h]))',
              "within 30 s",
            ],
          ],
          steps: [[null, "red"], [0.95, "green"]],
        }),
      ],
    },
    {
      title: "Attempts",
      panels: [
        graph({
          title: "Attempts, by outcome",
          description: "Delivered: 2xx. Rejected: another status. Denied: the callback policy forbids the address. Held: our own secret cannot be decrypted.",
          unit: "ops",
          queries: [["sum by (outcome) (rate(breakwater_delivery_attempts_total[$__rate_interval]))", "{{outcome}}"]],
          stacked: true,
          width: 12,
        }),
        graph({
          title: "Which share of attempts arrives?",
          description: "A receiver in trouble is tried at most eight times in more than a day, so a low share mostly means one busy receiver.",
          unit: "percentunit",
          queries: [
            [
              'sum(rate(breakwater_delivery_attempts_total{outcome="delivered"}[$__rate_interval])) / (sum(rate(breakwater_delivery_attempts_total[$__rate_interval])) > 0)',
              "delivered",
            ],
          ],
          max: 1,
          width: 12,
        }),
        graph({
          title: "Deliveries, by end",
          description: "Delivered, or dead: every attempt failed, or no other attempt would help.",
          unit: "ops",
          queries: [["sum by (end) (rate(breakwater_deliveries_ended_total[$__rate_interval]))", "{{end}}"]],
          stacked: true,
        }),
        graph({
          title: "Pending deliveries and dead letters",
          description: "Pending ones grow while a receiver is away, and are gone soon after it is back.",
          unit: "short",
          queries: [
            ["max(breakwater_deliveries_pending)", "pending"],
            ["max(breakwater_dead_letters)", "dead letters"],
          ],
        }),
        graph({
          title: "Held: secrets that cannot be decrypted",
          description: "Attempts that were not made because no key of BREAKWATER_ENCRYPTION_KEY reads the secret. Never normal.",
          unit: "ops",
          queries: [['sum(rate(breakwater_delivery_attempts_total{outcome="held"}[$__rate_interval]))', "held"]],
        }),
      ],
    },
    {
      title: "How late",
      panels: [
        graph({
          title: "Notify lag",
          description: "From a prediction's end to the receiver's 2xx, counted when it has arrived.",
          unit: "s",
          queries: quantiles("breakwater_notify_lag_seconds_bucket"),
          steps: [[null, "green"], [30, "red"]],
        }),
        graph({
          title: "Which share arrives within ...?",
          description: "1 s: as it should be. 30 s: at the second attempt. 5 minutes: at the third.",
          unit: "percentunit",
          queries: [
            [
              'sum by (le) (rate(breakwater_notify_lag_seconds_bucket{le=~"1.0|30.0|300.0"}[$__rate_interval])) / on () group_left () (sum(rate(breakwater_notify_lag_seconds_count[$__rate_interval])) > 0)',
              "{{le}} s",
            ],
          ],
          max: 1,
        }),
        graph({
          title: "How long has the oldest due callback waited?",
          description: "Due and not taken yet: workers are too few, or ill. Callbacks that wait for their next attempt are not due.",
          unit: "s",
          queries: [['max(breakwater_oldest_due_age_seconds{due_set="deliver"})', "oldest"]],
          steps: [[null, "green"], [120, "red"]],
        }),
      ],
    },
    {
      title: "Receivers",
      panels: [
        graph({
          title: "Endpoints, by state",
          description: "Counted once a minute.",
          unit: "short",
          queries: [["max by (state) (breakwater_endpoints)", "{{state}}"]],
          stacked: true,
          width: 6,
        }),
        graph({
          title: "Disabled in an hour, by whom or what",
          description: "Gone: the receiver answered 410. Failing: nothing arrived for five days.",
          unit: "short",
          queries: [["sum by (by) (increase(breakwater_endpoints_disabled_total[1h]))", "{{by}}"]],
          width: 6,
        }),
        graph({
          title: "Breakers that opened and closed in an hour",
          description: "A receiver was not there five times in a row, and came back.",
          unit: "short",
          queries: [["sum by (move) (increase(breakwater_receiver_breaker_moves_total[1h]))", "{{move}}"]],
          width: 6,
        }),
        graph({
          title: "Receivers with callbacks to send",
          description: "Those for which something waits or is due.",
          unit: "short",
          queries: [['max(breakwater_due_items{due_set="deliver"})', "receivers"]],
          width: 6,
        }),
      ],
    },
  ],
});
