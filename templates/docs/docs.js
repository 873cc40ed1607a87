"use strict";
// Reads the document of this installation and makes a form of every operation. Nothing is stored: a key is
// forgotten with the page.

const METHODS = ["get", "post", "put", "patch", "delete"];

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function resolve(spec, value) {
  let found = value;
  while (found && found.$ref) {
    found = found.$ref.slice(2).split("/").reduce((inner, part) => inner && inner[part], spec);
  }
  return found || {};
}

// An example of a schema: its own, or one made of its parts.
function example(spec, given, depth = 0) {
  const schema = resolve(spec, given);
  if (schema.example !== undefined) return schema.example;
  if (depth > 6) return null;
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => example(spec, part, depth + 1)));
  const choices = (schema.oneOf || schema.anyOf || []).filter((choice) => choice.type !== "null");
  if (choices.length) return example(spec, choices[0], depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "array") return [example(spec, schema.items || {}, depth + 1)];
  if (type === "object") {
    const entries = Object.entries(schema.properties || {});
    return Object.fromEntries(entries.map(([name, property]) => [name, example(spec, property, depth + 1)]));
  }
  return { string: "text", integer: 1, number: 1.5, boolean: false }[type] ?? null;
}

function parameters(operation) {
  const inputs = (operation.parameters || []).map((parameter) => {
    const input = make("input", { placeholder: String(parameter.example ?? ""), ariaLabel: parameter.name });
    if (parameter.in === "path") input.value = String(parameter.example ?? "");
    return { parameter, input };
  });
  const rows = inputs.map(({ parameter, input }) =>
    make("tr", {},
      make("td", {}, make("code", {}, parameter.name), make("br"), make("small", {}, parameter.in)),
      make("td", {}, input),
      make("td", {}, parameter.description || "")));
  return { inputs, table: rows.length ? make("table", {}, ...rows) : "" };
}

function url(path, inputs) {
  let filled = path;
  const query = new URLSearchParams();
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    if (parameter.in === "query" && input.value !== "") query.append(parameter.name, input.value);
  }
  return query.size ? `${filled}?${query}` : filled;
}

async function send(method, target, inputs, body, shown) {
  const headers = {};
  const key = document.getElementById("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  for (const { parameter, input } of inputs) {
    if (parameter.in === "header" && input.value !== "") headers[parameter.name] = input.value;
  }
  if (body) headers["Content-Type"] = "application/json";
  shown.textContent = "…";
  try {
    const answer = await fetch(target, { method: method.toUpperCase(), headers, body: body ? body.value : undefined });
    const text = await answer.text();
    const limits = ["x-request-id", "x-ratelimit-remaining", "retry-after"]
      .filter((name) => answer.headers.get(name))
      .map((name) => `${name}: ${answer.headers.get(name)}`);
    let printed = text;
    try { printed = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it came */ }
    shown.textContent = [`${answer.status} ${answer.statusText}`, ...limits, "", printed].join("\n");
  } catch (error) {
    shown.textContent = `No answer: ${error.message}`;
  }
}

function content(spec, response) {
  const schema = response.content && response.content["application/json"] && response.content["application/json"].schema;
  return schema ? JSON.stringify(example(spec, schema), null, 2) : "";
}

function operation(spec, path, method, described) {
  const { inputs, table } = parameters(described);
  const request = described.requestBody && described.requestBody.content["application/json"];
  const body = request && make("textarea", { spellcheck: false, ariaLabel: "body",
    value: JSON.stringify(example(spec, request.schema), null, 2) });
  const shown = make("pre", {}, "");
  const go = make("button", { type: "button" }, "Send");
  go.addEventListener("click", () => send(method, url(path, inputs), inputs, body, shown));
  const responses = Object.entries(described.responses || {}).map(([status, named]) => {
    const response = resolve(spec, named);
    const sample = Number(status) < 300 ? content(spec, response) : "";
    return make("tr", {}, make("td", {}, make("b", {}, status)),
      make("td", {}, response.description || "", sample ? make("pre", {}, sample) : ""));
  });
  return make("details", {},
    make("summary", {}, make("b", {}, method.toUpperCase()), make("code", {}, path), make("span", {}, described.summary || "")),
    make("p", {}, described.description || ""), table, body || "", make("div", {}, go), shown,
    make("h3", {}, "Answers"), make("table", {}, ...responses));
}

async function begin() {
  const place = document.getElementById("operations");
  const answer = await fetch("/api/v1/openapi.json");
  if (!answer.ok) {
    place.textContent = `The document is not to be had: ${answer.status}`;
    return;
  }
  const spec = await answer.json();
  document.getElementById("about").textContent = spec.info.description;
  const tags = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = (item[method].tags || ["Other"])[0];
      if (!tags.has(tag)) tags.set(tag, make("section", {}, make("h2", {}, tag)));
      tags.get(tag).append(operation(spec, path, method, item[method]));
    }
  }
  place.replaceChildren(...tags.values());
  document.getElementById("access").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("find").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const one of place.querySelectorAll("details")) {
      one.hidden = !one.querySelector("summary").textContent.toLowerCase().includes(wanted);
    }
  });
}

begin();
