//! Twilio's own Python library speaks to the stand-in as to Twilio: what the tests rest on is what it speaks.

use crate::support::receiver::Receiver;
use crate::support::twilio_library::{installed, python};
use crate::support::twilio_server::{SID, TOKEN, TwilioServer};
use serde_json::json;

const PYTHON: &str = "
import json, sys
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

said = json.load(sys.stdin)

class ToTheStandIn(TwilioHttpClient):
    def request(self, method, url, *args, **kwargs):
        return super().request(method, url.replace('https://api.twilio.com', said['base']), *args, **kwargs)

client = Client(said['sid'], said['token'], http_client=ToTheStandIn())
told = {'account': client.api.accounts(said['sid']).fetch().status}
for n in range(5):
    message = client.messages.create(to='+14155551234', from_='+15550001111', body='Hi %d' % n,
                                     status_callback=said['url'])
    told['first'] = told.get('first') or [message.sid, message.status, message.direction, message.body]
told['whatsapp'] = client.messages.create(to='whatsapp:+14155551234', from_='whatsapp:+15550001111',
    content_sid='HX0123456789abcdef0123456789abcdef', content_variables=json.dumps({'1': 'Ada'})).to
told['media'] = client.messages.create(to='+14155550000', messaging_service_sid='MG0123456789abcdef0123456789abcdef',
    body='', media_url=['https://example.com/a.png', 'https://example.com/b.png']).num_media
told['listed'] = [m.body for m in client.messages.list(to='+14155551234')]
told['dated'] = client.messages.list(to='+14155551234')[0].date_created is not None
told['fetched'] = client.messages(told['first'][0]).fetch().to
try:
    client.messages.create(to='+15005550001', from_='+15550001111', body='x')
except TwilioRestException as error:
    told['refused'] = [error.status, error.code]
try:
    Client(said['sid'], 'wrong', http_client=ToTheStandIn()).messages.create(to='+1', from_='+1', body='x')
except TwilioRestException as error:
    told['login'] = [error.status, error.code]
print(json.dumps(told))
";

const VALIDATE: &str = "
import json, sys
from twilio.request_validator import RequestValidator
said = json.load(sys.stdin)
validator = RequestValidator(said['token'])
form = dict(said['form'])
told = [validator.validate(said['url'], form, said['signature'])]
form['MessageStatus'] = 'failed'
print(json.dumps(told + [validator.validate(said['url'], form, said['signature'])]))
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilios_own_library_takes_the_stand_in_for_twilio() {
    let Some(place) = installed() else { return };
    let twilio = TwilioServer::start().await;
    let receiver = Receiver::start([]).await;
    let url = receiver.url("/webhooks/status?attempt=abc");
    let said = json!({ "base": twilio.base(), "sid": SID, "token": TOKEN, "url": url });
    let told = python(PYTHON, place.path(), said).await;
    assert_eq!(told["account"], "active");
    assert_eq!(
        told["first"],
        json!(["SM00000000000000000000000000000001", "queued", "outbound-api", "Hi 0"])
    );
    assert_eq!(told["whatsapp"], "whatsapp:+14155551234");
    assert_eq!(told["media"], "2");
    assert_eq!(told["listed"], json!(["Hi 4", "Hi 3", "Hi 2", "Hi 1", "Hi 0"]), "its pages are followed");
    assert_eq!((&told["dated"], &told["fetched"]), (&json!(true), &json!("+14155551234")));
    assert_eq!((&told["refused"], &told["login"]), (&json!([400, 21211]), &json!([401, 20003])));
    let made = twilio.made();
    assert_eq!(made[0].status_callback.as_deref(), Some(url.as_str()));
    assert_eq!(made[5].content_variables.as_deref(), Some(r#"{"1": "Ada"}"#));
    assert_eq!(made[6].media.len(), 2);
    twilio.call_back_all(&made[0].sid, &["delivered", "sent"], 2).await;
    let arrived = receiver.wait_for(4).await;
    for (one, status) in arrived.iter().zip(["delivered", "delivered", "sent", "sent"]) {
        let form: Vec<(String, String)> = url::form_urlencoded::parse(&one.body).into_owned().collect();
        assert!(form.contains(&("MessageStatus".into(), status.into())), "{form:?}");
        let signature = one.header("x-twilio-signature");
        let said = json!({ "token": TOKEN, "url": url, "form": form, "signature": signature });
        assert_eq!(python(VALIDATE, place.path(), said).await, json!([true, false]));
    }
}
