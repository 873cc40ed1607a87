import { camel, renamed, snake } from "./names.js";
import { operations } from "./operations.js";

export { NotGenuine, verify } from "./webhooks.js";

const REPEATABLE = new Set(["GET", "PUT", "DELETE"]);
const PASSING = new Set([429, 502, 503, 504]);
const LONGEST = 60_000;

export class ApiError extends Error {
  constructor(status, body, requestId) {
    super(body?.message ?? body?.detail ?? `status ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.code = body?.error ?? body?.code;
    this.body = body;
    this.requestId = requestId;
  }
}

const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

function wait(answer, attempt) {
  const said = answer?.headers.get("retry-after");
  if (said && /^\d+$/.test(said)) return Math.min(Number(said) * 1000, LONGEST);
  return Math.min(500 * 2 ** attempt, LONGEST) * (0.5 + Math.random() / 2);
}

export class Sendwright {
  #settings;

  constructor({ key, baseUrl, retries = 3, timeoutMs = 30_000, fetch = globalThis.fetch }) {
    this.#settings = { key, baseUrl: baseUrl.replace(/\/+$/, ""), retries, timeoutMs, fetch };
    for (const [name, operation] of Object.entries(operations)) {
      this[name] = (given = {}, options = {}) => this.#call(operation, given, options);
    }
  }

  // Every row of a list, page after page.
  async *every(name, given = {}) {
    let cursor;
    do {
      const page = await this[name](cursor ? { ...given, cursor } : given);
      yield* Object.values(page).find(Array.isArray);
      cursor = page.nextCursor;
    } while (cursor);
  }

  async #call(operation, given, { idempotencyKey, signal } = {}) {
    const headers = { authorization: `Bearer ${this.#settings.key}`, accept: "application/json" };
    if (idempotencyKey) headers["idempotency-key"] = idempotencyKey;
    let body;
    if (given.body !== undefined) {
      headers["content-type"] = "application/json";
      body = JSON.stringify(renamed(given.body, snake));
    }
    const answer = await this.#send(this.#url(operation, given), { method: operation.method, headers, body }, signal);
    const text = await answer.text();
    let read = text;
    try {
      read = text ? JSON.parse(text) : undefined;
    } catch {
      // A proxy's page: told as it came.
    }
    const requestId = answer.headers.get("x-request-id") ?? undefined;
    if (!answer.ok) throw new ApiError(answer.status, read, requestId);
    return renamed(read, camel);
  }

  #url({ path, ids, query }, given) {
    const url = new URL(this.#settings.baseUrl + path.replace(/\{(\w+)\}/g, (_, name) => {
      if (given[camel(name)] === undefined) throw new TypeError(`${camel(name)} is needed`);
      return encodeURIComponent(given[camel(name)]);
    }));
    for (const [name, value] of Object.entries(given)) {
      if (name === "body" || ids.includes(snake(name)) || value === undefined || value === null) continue;
      if (!query.includes(snake(name))) throw new TypeError(`${name} is not known here`);
      url.searchParams.append(snake(name), String(value));
    }
    return url;
  }

  async #send(url, request, signal) {
    const { retries, timeoutMs, fetch } = this.#settings;
    const mayRepeat = REPEATABLE.has(request.method) || "idempotency-key" in request.headers;
    for (let attempt = 0; ; attempt += 1) {
      const isLast = attempt >= retries || !mayRepeat;
      const limits = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
      let answer;
      try {
        answer = await fetch(url, { ...request, signal: limits.length > 1 ? AbortSignal.any(limits) : limits[0] });
        if (isLast || !PASSING.has(answer.status)) return answer;
        await answer.body?.cancel();
      } catch (error) {
        if (isLast || signal?.aborted) throw error;
      }
      await sleep(wait(answer, attempt));
    }
  }
}
