import { dashboard } from "./dashboard.js";
import { graph, quantiles, stat } from "./panels.js";

const YES_NO = { "0": "no", "1": "yes" };

export const upstream = dashboard({
  uid: "breakwater-upstream",
  title: "Breakwater / Upstream",
  description: "WaveSpeed as we see it: calls and their outcomes, the account's limits, money and queue, and how ends are found out.",
  rows: [
    {
      title: "The account now",
      panels: [
        stat({
          title: "Balance",
          description: "What the account has, when it was last read. Workers read it twice a minute.",
          unit: "currencyUSD",
          queries: [["max(breakwater_upstream_balance_dollars)", "balance"]],
          decimals: 2,
        }),
        stat({
          title: "Is the balance low?",
          description: "Whether it is below BREAKWATER_UPSTREAM_BALANCE_LOW_USD.",
          unit: "short",
          queries: [["max(breakwater_upstream_balance_low)", "low"]],
          steps: [[null, "green"], [1, "orange"]],
          words: YES_NO,
        }),
        stat({
          title: "Does WaveSpeed refuse the account?",
          description: "It answered 401, 402 or 403. Nothing is sent until it has money, or an operator resumes.",
          unit: "short",
          queries: [['max(breakwater_upstream_paused{by="account"})', "refused"]],
          steps: [[null, "green"], [1, "red"]],
          words: YES_NO,
        }),
        stat({
          title: "Has an operator paused it?",
          description: "Submissions wait meanwhile; what runs goes on.",
          unit: "short",
          queries: [['max(breakwater_upstream_paused{by="operator"})', "paused"]],
          steps: [[null, "green"], [1, "orange"]],
          words: YES_NO,
        }),
        stat({
          title: "Processes that make no reads",
          description: "Their breaker is open, or half open, because reads from WaveSpeed failed five times within 30 s.",
          unit: "short",
          queries: [["sum(breakwater_upstream_breaker_open)", "processes"]],
          steps: [[null, "green"], [1, "red"]],
        }),
        stat({
          title: "Waiting for room",
          description: "Submissions in the queue.",
          unit: "short",
          queries: [['max(breakwater_due_items{due_set="submit"})', "waiting"]],
        }),
      ],
    },
    {
      title: "Calls",
      panels: [
        graph({
          title: "Calls, by operation",
          description: "What WaveSpeed is asked: submit, result (a look at one task), list, balance, upload, webhook secret.",
          unit: "reqps",
          queries: [["sum by (operation) (rate(breakwater_upstream_calls_total[$__rate_interval]))", "{{operation}}"]],
          stacked: true,
        }),
        graph({
          title: "Calls that did not go well, by outcome",
          description:
            "Refused: its verdict on a submission. Capacity: 429. Account fault: 401, 402, 403. Unknown: it may have started. Failed: a read without an answer. Never sent: no connection. Paused: not made.",
          unit: "reqps",
          queries: [
            ['sum by (operation, outcome) (rate(breakwater_upstream_calls_total{outcome!="ok"}[$__rate_interval])) > 0', "{{operation}} {{outcome}}"],
          ],
        }),
        graph({
          title: "Which share of calls goes well?",
          description: "By operation. A refused submission does not count as well, though it is mostly the caller's own mistake.",
          unit: "percentunit",
          queries: [
            [
              'sum by (operation) (rate(breakwater_upstream_calls_total{outcome="ok"}[$__rate_interval])) / (sum by (operation) (rate(breakwater_upstream_calls_total[$__rate_interval])) > 0)',
              "{{operation}}",
            ],
          ],
          max: 1,
        }),
        graph({
          title: "How long do submissions take at WaveSpeed?",
          description: "Until it has answered, for at most 60 s; callers are answered after 5.5 s at the latest.",
          unit: "s",
          queries: quantiles('breakwater_upstream_call_duration_seconds_bucket{operation="submit"}'),
        }),
        graph({
          title: "How long do looks take?",
          description: "Reads of one task's state, given up after 10 s.",
          unit: "s",
          queries: quantiles('breakwater_upstream_call_duration_seconds_bucket{operation="result"}'),
        }),
        graph({
          title: "How long do other calls take?",
          description: "95 of 100 are done within this time.",
          unit: "s",
          queries: [
            [
              'histogram_quantile(0.95, sum by (le, operation) (rate(breakwater_upstream_call_duration_seconds_bucket{operation!~"submit|result"}[$__rate_interval])))',
              "{{operation}}",
            ],
          ],
        }),
      ],
    },
    {
      title: "Limits and queue",
      panels: [
        graph({
          title: "How full is the account?",
          description: "Share of each limit that is used, as the limits are now: they go down when WaveSpeed answers 429, and up again by one a minute.",
          unit: "percentunit",
          queries: [["max by (limit) (breakwater_upstream_used) / max by (limit) (breakwater_upstream_limit)", "{{limit}}"]],
          steps: [[null, "green"], [1, "orange"]],
        }),
        graph({
          title: "Tasks at once, and submissions a minute",
          description: "What is used, in numbers.",
          unit: "short",
          queries: [["max by (limit) (breakwater_upstream_used)", "{{limit}}"]],
        }),
        graph({
          title: "Limits in force",
          description: "A limit that is not set is infinite, and not drawn.",
          unit: "short",
          queries: [["max by (limit) (breakwater_upstream_limit) < +Inf", "{{limit}}"]],
        }),
        graph({
          title: "How long did submissions wait for room?",
          description: "Those that were taken out of the queue and sent.",
          unit: "s",
          queries: quantiles("breakwater_queue_wait_seconds_bucket"),
        }),
        graph({
          title: "Taken out of the queue, by what came of it",
          description: "Sent, put back (no room after all, or the account rests), refused by WaveSpeed, expired, gone (canceled).",
          unit: "ops",
          queries: [["sum by (result) (rate(breakwater_queued_submissions_total[$__rate_interval]))", "{{result}}"]],
          stacked: true,
        }),
        graph({
          title: "Where does the balance go?",
          description: "How the account's money goes.",
          unit: "currencyUSD",
          queries: [["max(breakwater_upstream_balance_dollars)", "balance"]],
        }),
      ],
    },
    {
      title: "How ends are found out",
      panels: [
        graph({
          title: "Looks at running predictions, by result",
          description: "Ended: an end was seen. Unconfirmed: one whose task is still looked for. Failed looks are made again later.",
          unit: "ops",
          queries: [["sum by (result) (rate(breakwater_looks_total[$__rate_interval]))", "{{result}}"]],
          stacked: true,
        }),
        graph({
          title: "Callbacks from WaveSpeed, by what came of them",
          description: "With BREAKWATER_UPSTREAM_WEBHOOKS=on. Settled: it brought the end. Forged: its signature is wrong.",
          unit: "ops",
          queries: [["sum by (outcome) (rate(breakwater_upstream_callbacks_total[$__rate_interval]))", "{{outcome}}"]],
          stacked: true,
        }),
        graph({
          title: "Searches for unconfirmed submissions, by result",
          description: "Ambiguous: several tasks or submissions fit, so nobody gets any. What is not found in half an hour is given up.",
          unit: "ops",
          queries: [["sum by (result) (rate(breakwater_unconfirmed_searches_total[$__rate_interval]))", "{{result}}"]],
          stacked: true,
        }),
        graph({
          title: "Canceled and expired: how did they turn out?",
          description: "Completed ones are paid for. Orphaned: WaveSpeed never said; settled as if paid, and listed by `breakwater prediction orphaned`.",
          unit: "ops",
          queries: [["sum by (how) (rate(breakwater_predictions_closed_total[$__rate_interval]))", "{{how}}"]],
          stacked: true,
        }),
        graph({
          title: "Looks a second",
          description: "All workers together make at most BREAKWATER_UPSTREAM_READS_PER_S.",
          unit: "reqps",
          queries: [['sum(rate(breakwater_upstream_calls_total{operation="result"}[$__rate_interval]))', "looks"]],
        }),
        graph({
          title: "State changes, by outcome",
          description: "Moved: written. Stale: another writer was first. Ignored: nothing new. Claimed and foreign: the task is another prediction's.",
          unit: "ops",
          queries: [["sum by (outcome) (rate(breakwater_transitions_total[$__rate_interval]))", "{{outcome}}"]],
          stacked: true,
        }),
      ],
    },
  ],
});
