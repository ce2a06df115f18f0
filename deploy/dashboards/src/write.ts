// Writes every dashboard as JSON into a directory: `npm run build` does so where the chart has them.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { internals } from "./internals.js";
import { overview } from "./overview.js";
import { tenants } from "./tenants.js";
import { upstream } from "./upstream.js";
import { webhooks } from "./webhooks.js";

const directory = process.argv[2];
if (directory === undefined) {
  throw new Error("say where to: node build/write.js DIRECTORY");
}
for (const [name, dashboard] of Object.entries({ overview, tenants, upstream, webhooks, internals })) {
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(dashboard, null, 2)}\n`);
}
