import { dashboard } from "./dashboard.js";
import { graph, quantiles, stat } from "./panels.js";

const OURS = 'job=~".*breakwater-(gateway|worker).*"';
const YES_NO = { "0": "no", "1": "yes" };
const WELL: [number | null, "red" | "green"][] = [[null, "red"], [1, "green"]];

export const internals = dashboard({
  uid: "breakwater-internals",
  title: "Breakwater / Internals",
  description: "What is due and who does it, how the processes are, and Redis.",
  rows: [
    {
      title: "Redis",
      panels: [
        stat({
          title: "Do all processes reach Redis?",
          description: "Whether it answered every process when that last looked.",
          unit: "short",
          queries: [["min(breakwater_redis_up)", "reached"]],
          steps: WELL,
          words: YES_NO,
        }),
        stat({
          title: "Does it write to disk?",
          description: "appendonly: without it a restart of Redis forgets everything.",
          unit: "short",
          queries: [["min(breakwater_redis_append_only)", "AOF"]],
          steps: WELL,
          words: YES_NO,
        }),
        stat({
          title: "Does it keep every key?",
          description: "maxmemory-policy noeviction: with any other, a full Redis deletes what is owed.",
          unit: "short",
          queries: [["min(breakwater_redis_noeviction)", "noeviction"]],
          steps: WELL,
          words: YES_NO,
        }),
        graph({
          title: "How full is Redis?",
          description: "Share of maxmemory that is used; nothing is shown without one. At 85 % submissions are refused.",
          unit: "percentunit",
          queries: [["max(breakwater_redis_memory_used_ratio)", "used"]],
          steps: [[null, "green"], [0.8, "orange"], [0.85, "red"]],
          max: 1,
          width: 12,
          height: 7,
        }),
      ],
    },
    {
      title: "What is due",
      panels: [
        graph({
          title: "Due sets",
          description: "Items each holds, due or not: predictions to look at (poll), receivers (deliver), submissions that wait (submit), ended predictions (retain).",
          unit: "short",
          queries: [["max by (due_set) (breakwater_due_items)", "{{due_set}}"]],
        }),
        graph({
          title: "How long has the oldest due item waited?",
          description: "It should be taken within seconds. The queue for the account is not among them: waiting there is normal.",
          unit: "s",
          queries: [['max by (due_set) (breakwater_oldest_due_age_seconds{due_set!="submit"})', "{{due_set}}"]],
          steps: [[null, "green"], [120, "red"]],
        }),
        graph({
          title: "What are workers busy with?",
          description: "Items in the hands of all workers; the bounds are BREAKWATER_POLL_CONCURRENCY and its like, for each worker.",
          unit: "short",
          queries: [["sum by (due_set) (breakwater_worker_in_flight)", "{{due_set}}"]],
          stacked: true,
        }),
        graph({
          title: "Leases lost",
          description: "Another worker had taken an item over meanwhile, because the first was too slow or seemed dead.",
          unit: "ops",
          queries: [["sum by (due_set) (rate(breakwater_leases_lost_total[$__rate_interval]))", "{{due_set}}"]],
          width: 6,
        }),
        graph({
          title: "Wake-ups lost",
          description: "Could not be written to Redis; the sweep makes up for each within ten seconds.",
          unit: "ops",
          queries: [["sum by (due_set) (rate(breakwater_wakeups_lost_total[$__rate_interval]))", "{{due_set}}"]],
          width: 6,
        }),
        graph({
          title: "Work that failed",
          description: "Items whose handling raised: Redis was away, or a fault of ours. They fall due again.",
          unit: "ops",
          queries: [["sum by (due_set) (rate(breakwater_work_failed_total[$__rate_interval]))", "{{due_set}}"]],
          width: 6,
        }),
        graph({
          title: "Retention, by step",
          description: "Ended predictions whose outputs were announced to expire (told), or that were forgotten after seven days (purged).",
          unit: "ops",
          queries: [["sum by (step) (rate(breakwater_retention_steps_total[$__rate_interval]))", "{{step}}"]],
          width: 6,
        }),
      ],
    },
    {
      title: "Books and keys",
      panels: [
        graph({
          title: "Ledger drift in a day",
          description: "Entries and slots that did not fit the predictions and were mended. Never expected.",
          unit: "short",
          queries: [["sum by (kind) (increase(breakwater_ledger_drift_total[1d]))", "{{kind}}"]],
          width: 12,
        }),
        graph({
          title: "API key checks, by result",
          description: "Unknown and malformed keys are answered 401; bounded: not looked up, because too many unknown ones came.",
          unit: "ops",
          queries: [["sum by (result) (rate(breakwater_authentications_total[$__rate_interval]))", "{{result}}"]],
          stacked: true,
          width: 12,
        }),
      ],
    },
    {
      title: "Processes",
      panels: [
        graph({
          title: "CPU, by process",
          description: "Cores used. A process has one event loop, so near 1 it is full.",
          unit: "percentunit",
          queries: [[`sum by (job, instance) (rate(process_cpu_seconds_total{${OURS}}[$__rate_interval]))`, "{{job}} {{instance}}"]],
          steps: [[null, "green"], [0.9, "orange"]],
        }),
        graph({
          title: "Memory, by process",
          description: "Resident memory.",
          unit: "bytes",
          queries: [[`max by (job, instance) (process_resident_memory_bytes{${OURS}})`, "{{job}} {{instance}}"]],
        }),
        graph({
          title: "Open files, by process",
          description: "Share of what the process may have; each connection is one.",
          unit: "percentunit",
          queries: [[`max by (job, instance) (process_open_fds{${OURS}} / process_max_fds{${OURS}})`, "{{job}} {{instance}}"]],
          steps: [[null, "green"], [0.8, "red"]],
        }),
        graph({
          title: "Event loop: how late do timers fire?",
          description: "All processes together. Whatever a process does waits that long.",
          unit: "s",
          queries: quantiles("breakwater_event_loop_lag_seconds_bucket"),
          steps: [[null, "green"], [0.25, "red"]],
        }),
        graph({
          title: "Event loop: which process is late?",
          description: "How late timers fire on average, by process.",
          unit: "s",
          queries: [
            [
              "sum by (job, instance) (rate(breakwater_event_loop_lag_seconds_sum[$__rate_interval])) / sum by (job, instance) (rate(breakwater_event_loop_lag_seconds_count[$__rate_interval]))",
              "{{job}} {{instance}}",
            ],
          ],
          steps: [[null, "green"], [0.25, "red"]],
        }),
        graph({
          title: "How long do processes run?",
          description: "Time since each began; a saw shows restarts.",
          unit: "s",
          queries: [[`time() - max by (job, instance) (process_start_time_seconds{${OURS}})`, "{{job}} {{instance}}"]],
        }),
      ],
    },
  ],
});
