// Writes operations.js from the OpenAPI document: what index.js needs to know of every operation.
import { readFileSync } from "node:fs";
import { camel } from "./names.js";

const spec = JSON.parse(readFileSync(process.argv[2], "utf8"));
const rows = [];
for (const [path, item] of Object.entries(spec.paths)) {
  for (const [method, operation] of Object.entries(item)) {
    // What a provider signs is nobody else's to call.
    if (operation.security.some((one) => one.signature)) continue;
    const of = (place) => (operation.parameters || []).filter((one) => one.in === place).map((one) => one.name);
    const row = { method: method.toUpperCase(), path, query: of("query"), ids: of("path") };
    rows.push(`  ${camel(operation.operationId)}: ${JSON.stringify(row)},`);
  }
}
console.log(`export const operations = {\n${rows.join("\n")}\n};`);
