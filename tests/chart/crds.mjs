// Judges custom resources by the schemas of their definitions. Standard input: a JSON list of objects. Twice: the
// definition's own validation at run time (what must be there, patterns, ranges), and TypeScript's types (names that
// the definition does not know, which a cluster would drop in silence). Prints what is wrong; exit code 1 if anything is.
import { readFileSync } from "node:fs";
import ts from "typescript";

const MODULES = {
  ScaledObject: "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject",
  PodMonitor: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor",
  PrometheusRule: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule",
  ServiceMonitor: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor",
};

const objects = JSON.parse(readFileSync(0, "utf8"));
const wrong = [];
const lines = [];
for (const [number, object] of objects.entries()) {
  const path = MODULES[object.kind];
  if (!path) {
    wrong.push(`${object.kind}: no schema`);
    continue;
  }
  const model = (await import(path))[object.kind];
  try {
    new model(object).validate();
  } catch (error) {
    wrong.push(`${object.kind}/${object.metadata.name}: ${error.message}`);
  }
  lines.push(`import { I${object.kind} as T${number} } from "${path}";`);
  lines.push(`export const object${number}: T${number} = ${JSON.stringify(object)};`);
}

const file = new URL("objects.mts", import.meta.url).pathname; // never written: it only stands beside node_modules
const options = {
  module: ts.ModuleKind.Preserve,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  target: ts.ScriptTarget.ES2022,
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
};
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists, readFile } = host;
const text = lines.join("\n");
host.getSourceFile = (name, ...rest) =>
  name === file ? ts.createSourceFile(name, text, options.target) : getSourceFile.call(host, name, ...rest);
host.fileExists = (name) => name === file || fileExists.call(host, name);
host.readFile = (name) => (name === file ? text : readFile.call(host, name));
for (const found of ts.getPreEmitDiagnostics(ts.createProgram([file], options, host))) {
  wrong.push(ts.flattenDiagnosticMessageText(found.messageText, " "));
}

for (const line of wrong) console.log(line);
console.log(`${objects.length} objects, ${wrong.length} wrong`);
process.exit(wrong.length ? 1 : 0);
