// Webhooks, verified as Standard Webhooks 1.0 has it.

export class NotGenuine extends Error {}

const bytes = (text) => new TextEncoder().encode(text);
const decoded = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function header(headers, name) {
  if (typeof headers.get === "function") return headers.get(name);
  const found = Object.keys(headers).find((one) => one.toLowerCase() === name);
  return found && headers[found];
}

// The event of a webhook; `secret` is the endpoint's `whsec_…`, `body` the request's own text.
export async function verify(secret, headers, body, { toleranceSeconds = 300, now = Date.now() / 1000 } = {}) {
  const [id, stamp, given] = ["id", "timestamp", "signature"].map((name) => header(headers, `webhook-${name}`));
  if (!id || !given || !/^\d+$/.test(stamp ?? "")) throw new NotGenuine("a header is missing or does not read");
  if (Math.abs(now - Number(stamp)) > toleranceSeconds) throw new NotGenuine("the timestamp is too far from now");
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const raw = decoded(secret.replace(/^whsec_/, ""));
  const key = await globalThis.crypto.subtle.importKey("raw", raw, algorithm, false, ["verify"]);
  for (const one of given.split(" ").filter((each) => each.startsWith("v1,"))) {
    let signature;
    try {
      signature = decoded(one.slice(3));
    } catch {
      continue;
    }
    // The comparison is the runtime's own, in constant time.
    if (await globalThis.crypto.subtle.verify("HMAC", key, signature, bytes(`${id}.${stamp}.${body}`))) {
      return JSON.parse(body);
    }
  }
  throw new NotGenuine("no signature is the secret's");
}
