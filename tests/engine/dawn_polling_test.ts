/**
 * Waiting on Dawn: a binding that polls through `globalThis.setImmediate`, as Dawn's does, polls seldom and is seen by nobody.
 */
import assert from "node:assert/strict";
import { PacedPolling } from "../../engine/dawn.ts";

type Scope = { setImmediate: (task: () => void) => unknown };

/** A binding that asks for events until `ms` have passed. */
class Binding {
  polls = 0;
  /** Starts something that is done after `ms`. */
  wait(ms: number): Promise<void> {
    const end = performance.now() + ms;
    return new Promise((resolve, reject) => {
      const poll = () => {
        this.polls++;
        if (ms < 0) reject(new Error("refused"));
        else if (performance.now() >= end) resolve();
        else (globalThis as unknown as Scope).setImmediate(poll);
      };
      (globalThis as unknown as Scope).setImmediate(poll);
    });
  }
}

Deno.test("PacedPolling polls a few hundred times a second where the binding would do it without a pause", async () => {
  const free = new Binding(), paced = new Binding();
  await free.wait(100);
  await new PacedPolling().start(() => paced.wait(100));
  // 8 at once, 16 a millisecond apart, one each 4 ms: 8 + 16 + 84/4. Timers come late, never early.
  assert(paced.polls <= 50, `${paced.polls} polls in 100 ms`);
  assert(paced.polls >= 9, `${paced.polls} polls in 100 ms`);
  assert(free.polls > paced.polls);
});

Deno.test("PacedPolling starts every wait without a pause", async () => {
  const binding = new Binding(), polling = new PacedPolling();
  await polling.start(() => binding.wait(50));
  binding.polls = 0;
  let turns = 0;
  const done = polling.start(() => binding.wait(0));
  const turn = () => {
    turns++;
    if (binding.polls === 0) setImmediate(turn);
  };
  setImmediate(turn);
  await done;
  assert(turns <= 2, `polled after ${turns} turns of the event loop`);
});

Deno.test("PacedPolling leaves the global as it was for everyone else", async () => {
  const scope = globalThis as unknown as Scope;
  const before = scope.setImmediate;
  const seen: unknown[] = [];
  const waiting = new PacedPolling().start(() => new Binding().wait(20));
  seen.push(scope.setImmediate);
  for (let i = 0; i < 10; i++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    seen.push(scope.setImmediate);
  }
  await waiting;
  assert(seen.every((one) => one === before));
  await assert.rejects(new PacedPolling().start(() => new Binding().wait(-1)), /refused/);
  assert.throws(() =>
    new PacedPolling().start(() => {
      throw new Error("at once");
    }), /at once/);
  assert.equal(scope.setImmediate, before);
});
