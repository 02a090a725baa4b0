/**
 * Dawn, Google's WebGPU, through the npm package `webgpu`: how it is loaded, and how it is kept from polling itself to a standstill.
 *
 * @module
 */
import { UnsupportedError } from "./errors.ts";

const DAWN_VERSION = "0.6.2";

interface DawnModule {
  create(flags: string[]): GPU;
}

// The binding polls its instance from the event loop without holding it: collected as garbage, it takes the process down.
const dawnInstances: GPU[] = [];

/**
 * Opens Dawn.
 *
 * @param adapter part of the adapter's description to insist on
 * @throws {UnsupportedError} where the package is not there.
 */
export async function loadDawn(adapter?: string): Promise<GPU> {
  let dawn: DawnModule;
  try {
    // Not a literal, so that nobody downloads it who does not ask for it.
    dawn = await import(`npm:webgpu@${DAWN_VERSION}`) as DawnModule;
  } catch (cause) {
    throw new UnsupportedError(
      'Cannot open the backend "dawn": the npm package "webgpu" is needed (132 MB) with permission --allow-ffi',
      { cause },
    );
  }
  const flags = [
    "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
    "disable-dawn-features=timestamp_quantization",
  ];
  const instance = dawn.create(adapter ? [...flags, `adapter=${adapter}`] : flags);
  dawnInstances.push(instance);
  return instance;
}

type Task = (...args: unknown[]) => void;
type Schedule = (task: Task, ...args: unknown[]) => unknown;

/** Polls that follow one another at once: half a millisecond, as long as small work takes on a GPU. */
const EAGER_POLLS = 8;
/** Milliseconds between later polls: the first 16 of them, then the rest. */
const FIRST_WAIT = 1;
const LATER_WAIT = 4;

/**
 * Slows the polling of Dawn's binding down. While anything is awaited, the binding asks for events once per turn of the event
 * loop through `globalThis.setImmediate`, 16,000 times a second, with a new native function each time. That takes half a core from
 * a software driver; and Deno 2.9 keeps those functions in a list that it searches from end to end for each one that is
 * collected: after some twenty seconds of waiting one collection stands still for minutes.
 *
 * The global is replaced only while a call into the binding is on the stack, so nobody else sees it.
 */
export class PacedPolling {
  #polls = 0;

  /** Makes a call that leaves something to wait for; the polls that it asks for are paced. */
  start<T>(call: () => T): T {
    this.#polls = 0;
    return this.#within(call);
  }

  #within<T>(call: () => T): T {
    const scope: { setImmediate?: unknown } = globalThis;
    const immediate = scope.setImmediate;
    if (typeof immediate !== "function") return call(); // a browser, which does not poll
    const paced: Schedule = (task, ...args) => {
      const poll = () => this.#within(() => task(...args));
      const nth = this.#polls++;
      if (nth < EAGER_POLLS) return immediate(poll);
      return setTimeout(poll, nth < EAGER_POLLS + 16 ? FIRST_WAIT : LATER_WAIT);
    };
    scope.setImmediate = paced;
    try {
      return call();
    } finally {
      scope.setImmediate = immediate;
    }
  }
}
