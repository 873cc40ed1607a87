"""The packed Python client against a running server: typed calls, pages, retries, webhooks."""

import base64
import hashlib
import hmac
import http.server
import sys
import threading

import sendwright
from sendwright.api.campaigns import create_campaign, get_campaign
from sendwright.api.keys import create_key
from sendwright.api.leads import create_lead, get_lead, list_leads
from sendwright.api.usage import get_usage
from sendwright.models import CampaignInput, Error, KeyInput, Lead, LeadInput, StepInput

url, key = sys.argv[1:]
client = sendwright.connect(key, url)

made = [create_lead.sync(client=client, body=LeadInput(email=f"py{n}@example.com")) for n in range(5)]
assert all(isinstance(lead, Lead) and lead.created_at.year >= 2020 for lead in made), made
once = [
    create_lead.sync(client=client, body=LeadInput(email="once.py@example.com"), idempotency_key="py") for _ in range(2)
]
assert once[0].id == once[1].id
found = [lead.email for lead in sendwright.every(list_leads, client=client, sort="-created_at", limit=2)]
assert len(found) == len(set(found)) >= 6 and "py4@example.com" in found, found
missing = get_lead.sync(client=client, id="999999")
assert isinstance(missing, Error) and missing.error == "not_found", missing
step = StepInput(step_number=1, subject="Hello", template="Hi {{email}}")
campaign = create_campaign.sync(client=client, body=CampaignInput(name="Python", steps=[step]))
shown = get_campaign.sync(client=client, id=campaign.id)
assert shown.status == "DRAFT" and shown.steps[0].subject == "Hello", shown
assert create_key.sync(client=client, body=KeyInput(name="py", test=True)).key.startswith("sk_test_")
assert get_usage.sync(client=client).requests > 0

calls = []


class Flaky(http.server.BaseHTTPRequestHandler):
    def answer(self):
        calls.append(self.command)
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(503)
        self.send_header("retry-after", "0")
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
threading.Thread(target=server.serve_forever, daemon=True).start()
flaky = sendwright.connect(key, f"http://127.0.0.1:{server.server_port}", retries=2)
for call, expected in [
    (lambda: flaky.get_httpx_client().get("/x"), ["GET"] * 3),
    (lambda: flaky.get_httpx_client().post("/x"), ["POST"]),
    (lambda: flaky.get_httpx_client().post("/x", headers={"Idempotency-Key": "k"}), ["POST"] * 3),
]:
    calls.clear()
    assert call().status_code == 503 and calls == expected, (calls, expected)

# The example of the specification's own text.
secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"test": 2432232314}'
headers = {
    "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,other v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
assert sendwright.verify(secret, headers, body, now=1614265330)["test"] == 2432232314
for changed, now in [(body + " ", 1614265330), (body, 1614265330 + 301)]:
    try:
        sendwright.verify(secret, headers, changed, now=now)
    except sendwright.NotGenuine:
        continue
    raise AssertionError("a forged or stale webhook passed")
signed = hmac.new(base64.b64decode("a2V5"), b"1.1614265330.{}", hashlib.sha256).digest()
own = {"webhook-id": "1", "webhook-timestamp": "1614265330", "webhook-signature": "v1," + base64.b64encode(signed).decode()}
assert sendwright.verify("whsec_a2V5", own, b"{}", now=1614265330) == {}
print("python is served")
