// What the compiler must accept and what it must refuse.
import { Sendwright } from "sendwright";

export async function typed(client: Sendwright): Promise<string> {
  const lead = await client.createLead({ body: { email: "a@example.com", firstName: "Ada" } }, { idempotencyKey: "k" });
  const at: string = lead.createdAt;
  const company: string | null | undefined = lead.company;
  const page = await client.listLeads({ perPage: 5, externalId: "x" });
  const next: string | null | undefined = page.nextCursor;
  for await (const one of client.every("listLeads")) {
    const address: string | null | undefined = one.email;
    void address;
  }
  // @ts-expect-error an id is needed
  await client.getLead();
  // @ts-expect-error the wire's names are not the client's
  await client.listLeads({ per_page: 5 });
  // @ts-expect-error an address is text
  await client.createLead({ body: { email: 7 } });
  // @ts-expect-error there is no such field
  void lead.created_at;
  return `${at}${company}${next}`;
}
