// One call with the `wavespeed` of npm that is installed here, made as its users make it: `drive.cjs URL KEY CALL`.
// `CALL` is JSON; what came of it is the last line printed, in JSON. What the client prints itself stands before it.
"use strict";

const { Client, version } = require("wavespeed");

async function submitAndWait(client, { model, input, options = {} }) {
  const [id] = await client._submit(model, input);
  const first = (await client._getResult(id)).data;
  return { id, first, ...(await client._wait(id, options.timeout, options.pollInterval ?? 1)) };
}

function made(client, call) {
  switch (call.do) {
    case "run":
      return client.run(call.model, call.input, call.options);
    case "submit_and_wait":
      return submitAndWait(client, call);
    case "result":
      return client._getResult(call.id).then((envelope) => envelope.data);
    case "upload":
      return client.upload(call.file);
  }
}

async function main(url, key, text) {
  const outcome = { version, returned: null, error: null };
  const began = Date.now();
  try {
    outcome.returned = await made(new Client(key, { baseUrl: url }), JSON.parse(text));
  } catch (error) {
    outcome.error = { class: error.constructor.name, text: error.message };
  }
  outcome.seconds = (Date.now() - began) / 1000;
  console.log(`\n${JSON.stringify(outcome)}`);
}

main(...process.argv.slice(2));
