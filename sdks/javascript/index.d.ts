import type { operations } from "./schema.js";

type Camel<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;

/** The same shape with camelCase names; what lies below `attributes` keeps its own. */
export type Cameled<T> = T extends readonly (infer U)[]
  ? Cameled<U>[]
  : T extends object
    ? { [K in keyof T as K extends string ? Camel<K> : K]: K extends "attributes" ? T[K] : Cameled<T[K]> }
    : T;

type Part<T, K extends string> = T extends { [key in K]: infer P } ? P : T extends { [key in K]?: infer P } ? P : never;
type Given<T> = [Exclude<T, undefined>] extends [never] ? {} : Cameled<Exclude<T, undefined>>;
type Parameters<O> = O extends { parameters: infer P } ? Given<Part<P, "path">> & Given<Part<P, "query">> : {};
type Body<O> = O extends { requestBody: { content: { "application/json": infer B } } } ? { body: Cameled<B> } : {};
type Done<O> = O extends { responses: infer R } ? R[keyof R & (200 | 201 | 202)] : never;
type Result<O> = Done<O> extends { content: { "application/json": infer A } } ? Cameled<A> : unknown;

/** What goes with one call. */
export interface Options {
  /** Does this once; such a call is tried again where it failed. */
  idempotencyKey?: string;
  /** Ends the call. */
  signal?: AbortSignal;
}

type Method<O> = {} extends Parameters<O> & Body<O>
  ? (given?: Parameters<O> & Body<O>, options?: Options) => Promise<Result<O>>
  : (given: Parameters<O> & Body<O>, options?: Options) => Promise<Result<O>>;

type Methods = { [K in keyof operations as Camel<K & string>]: Method<operations[K]> };
type Row<M> = M extends (...given: never[]) => Promise<infer P>
  ? { [K in keyof P]: P[K] extends (infer R)[] ? R : never }[keyof P]
  : never;

export interface Settings {
  key: string;
  baseUrl: string;
  /** How often a request that may be repeated is tried again; 3. */
  retries?: number;
  timeoutMs?: number;
  fetch?: typeof globalThis.fetch;
}

export interface Sendwright extends Methods {
  /** Every row of a list, page after page. */
  every<K extends keyof Methods>(name: K, given?: Parameters_<Methods[K]>): AsyncGenerator<Row<Methods[K]>>;
}
type Parameters_<M> = M extends (given?: infer G, ...rest: never[]) => unknown ? G : never;

export declare const Sendwright: { new (settings: Settings): Sendwright };

/** A refusal. */
export declare class ApiError extends Error {
  status: number;
  code?: string;
  body: unknown;
  requestId?: string;
}

/** A webhook that the endpoint's secret did not sign, or that is too old. */
export declare class NotGenuine extends Error {}

/** The event of a webhook; rejects with NotGenuine. */
export declare function verify(
  secret: string,
  headers: Headers | Record<string, string>,
  body: string,
  options?: { toleranceSeconds?: number; now?: number },
): Promise<unknown>;
