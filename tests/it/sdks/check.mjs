// The packed JavaScript client against a running server: camelCase calls, pages, retries, webhooks.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { ApiError, NotGenuine, Sendwright, verify } from "sendwright";

const [url, key] = process.argv.slice(2);
const client = new Sendwright({ key, baseUrl: url });

for (let n = 0; n < 5; n += 1) {
  const attributes = { fav_colour: "red" };
  const made = await client.createLead({ body: { email: `js${n}@example.com`, firstName: "Ada", attributes } });
  assert.equal(made.firstName, "Ada");
  assert.deepEqual(made.attributes, attributes);
}
const once = () => client.createLead({ body: { email: "once.js@example.com" } }, { idempotencyKey: "js" });
assert.equal((await once()).id, (await once()).id);
const found = [];
for await (const lead of client.every("listLeads", { sort: "-created_at", perPage: 2 })) found.push(lead.email);
assert.equal(new Set(found).size, found.length);
assert.ok(found.includes("js4@example.com"));
await assert.rejects(client.getLead({ id: "999999" }), (error) => {
  return error instanceof ApiError && error.status === 404 && error.code === "not_found" && Boolean(error.requestId);
});
const steps = [{ stepNumber: 1, subject: "Hello", template: "Hi {{email}}", delayDays: 2 }];
const campaign = await client.createCampaign({ body: { name: "JavaScript", quietHoursStart: "22:00", quietHoursEnd: "08:00", steps } });
const shown = await client.getCampaign({ id: campaign.id });
assert.equal(shown.steps[0].delayDays, 2);
assert.equal(shown.quietHoursStart, "22:00");
await assert.rejects(async () => client.listLeads({ nothing: 1 }), TypeError);

const calls = [];
const flaky = createServer((request, response) => {
  calls.push(request.method);
  request.resume().on("end", () => response.writeHead(503, { "retry-after": "0" }).end());
});
await new Promise((resolve) => flaky.listen(0, "127.0.0.1", resolve));
const poor = new Sendwright({ key, baseUrl: `http://127.0.0.1:${flaky.address().port}`, retries: 2 });
for (const [call, expected] of [
  [() => poor.getLead({ id: "1" }), 3],
  [() => poor.createLead({ body: {} }), 1],
  [() => poor.createLead({ body: {} }, { idempotencyKey: "k" }), 3],
]) {
  calls.length = 0;
  await assert.rejects(call, (error) => error.status === 503);
  assert.equal(calls.length, expected);
}
flaky.close();
flaky.closeAllConnections();

// The example of the specification's own text.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const body = '{"test": 2432232314}';
const headers = {
  "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
  "webhook-timestamp": "1614265330",
  "webhook-signature": "v1,other v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
};
assert.equal((await verify(secret, headers, body, { now: 1614265330 })).test, 2432232314);
await assert.rejects(verify(secret, headers, `${body} `, { now: 1614265330 }), NotGenuine);
await assert.rejects(verify(secret, headers, body, { now: 1614265631 }), NotGenuine);
console.log("javascript is served");
