/** Storage backends for sigbox: they keep what must survive a crash. */
import { Refuse, Retry, type Settings, type Settled } from "./index.js";
export { Refuse };
export { whole } from "./index.js";

/** Where a document lives. The three parts together are its identity. They are any text: escape them as your storage needs. */
export interface Address {
  domain: string;
  entityName: string;
  entityId: string;
}

/** Part of a listing. `next`: where to go on; null: this was the last page. */
export interface Page {
  entityIds: string[];
  next: string | null;
}

/**
 * What an author writes. Every call answers at once and must be safe to repeat. An exception means that the call failed:
 * throw `Unavailable` where the same call may succeed later, and `Refuse` where it may not.
 */
export interface Definition<S extends Settings> {
  name: string;
  version?: string;
  /** One line without secrets that says where the documents are. It is asked before `start`. */
  summary: string | ((settings: Settled<S>) => string);
  /** An open set: "volatile" when documents go with the instance that wrote them. */
  features?: string[];
  /** Larger documents are refused before they are sent; 4 MiB unless it is given. */
  maxValueBytes?: number;
  /** As those of a strategy. */
  settings?: S;
  /** Called once: connect and prepare. `secret(name)` is a password or key that the operator granted, or null. */
  start?(settings: Settled<S>, host: { secret(name: string): string | null }): void;
  /** Called once per domain and entity name. `initial`: this host never used the entity before. */
  waitForInit?(domain: string, entityName: string, initial: boolean): void;
  /** Null: nothing was ever written there, or it was removed. Never null for an error: the engine would trade. */
  readValue(at: Address): Uint8Array | null;
  /** Without it: whether `readValue` finds a document. */
  hasValue?(at: Address): boolean;
  /** Replaces the document, all or nothing. After it returns, the document survives a crash. */
  writeValue(at: Address, value: Uint8Array, whenMs: number): void;
  /** False: there was nothing to remove. */
  removeValue(at: Address): boolean;
  /** Ids in ascending order of their bytes, those after `cursor`, at most `limit`. `page` makes one. */
  keys(domain: string, entityName: string, cursor: string | null, limit: number): Page;
  /** The last call. After a crash it is not made. */
  close?(): void;
}

/** A backend. Export it as the default of its module. */
export declare class Backend {
  private constructor();
  readonly name: string;
}

/** Defines a backend. Throws a `TypeError` for what cannot be one. */
export declare function backend<S extends Settings = {}>(definition: Definition<S> & ThisType<Definition<S>>): Backend;

/** The page of all `ids`, in any order, that follows `cursor`. */
export declare function page(ids: Iterable<string>, cursor: string | null, limit: number): Page;

/** Throw it when the same call may succeed later, after `afterMs` milliseconds if that is known. */
export declare class Unavailable extends Retry {
  constructor(message: string, options?: { code?: string; afterMs?: number | null });
}
