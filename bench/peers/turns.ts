/**
 * Times works of several libraries in turn, in one process.
 *
 * @module
 */
import type { PeerWork } from "./peer.ts";

/** Shortest time of a round. */
const ROUND_MS = 60;
const MOST_REPEATS = 50;

/** Milliseconds of each work: the medians of rounds that take turns, without the waits themselves. */
export async function timeInTurn(
  works: readonly PeerWork[],
  samples: number,
): Promise<readonly number[]> {
  const turns = works.map((work) => ({ work, idle: Infinity, repeats: 1 }));
  for (const each of turns) {
    await round(each);
    for (let i = 0; i < 3; i++) each.idle = Math.min(each.idle, await idleWait(each.work));
    each.repeats = Math.max(1, Math.min(MOST_REPEATS, Math.ceil(ROUND_MS / await round(each))));
  }
  const times: number[][] = works.map(() => []);
  for (let i = 0; i < samples; i++) {
    for (const [j, each] of turns.entries()) times[j].push(await round(each));
  }
  return times.map((all) => all.sort((a, b) => a - b)[samples >> 1]);
}

/** Milliseconds of a wait for nothing: Deno sleeps 10 ms in every one. */
async function idleWait(work: PeerWork): Promise<number> {
  const start = performance.now();
  await work.wait();
  return performance.now() - start;
}

/** Milliseconds of each of some runs, without the wait itself. */
async function round(
  { work, idle, repeats }: { work: PeerWork; idle: number; repeats: number },
): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) work.start();
  await work.wait();
  return Math.max(1e-3, performance.now() - start - (idle === Infinity ? 0 : idle)) / repeats;
}

/** What was measured of a library and this one, in turns. */
export interface PeerTimes {
  /** Milliseconds here: the median of rounds that take turns with the library's. */
  readonly ms?: number;
  /** Milliseconds there. */
  readonly peerMs?: number;
  /** The library's over ours. */
  readonly ratio?: number;
  /** Greatest error of the library's result at some places against float64. */
  readonly peerError?: number;
  /** Why there are no times. */
  readonly failure?: string;
}

/** Takes every library through every work; one that does not open, or fails at a work, has rows that say why. */
export async function* acrossPeers<P extends { readonly name: string }, W>(
  opening: readonly (readonly [name: string, open: () => Promise<P>])[],
  works: readonly W[],
  compare: (peer: P, work: W) => Promise<PeerTimes>,
): AsyncGenerator<PeerTimes & { readonly work: W; readonly peer: string }> {
  for (const [name, open] of opening) {
    let peer: P | undefined, failure = "";
    try {
      peer = await open();
    } catch (error) {
      failure = messageOf(error);
    }
    for (const work of works) {
      const row = { work, peer: peer?.name ?? name };
      if (!peer) {
        yield { ...row, failure };
        continue;
      }
      try {
        yield { ...row, ...await compare(peer, work) };
      } catch (error) {
        yield { ...row, failure: messageOf(error) };
      }
    }
  }
}

const messageOf = (error: unknown) => error instanceof Error ? error.message : String(error);
