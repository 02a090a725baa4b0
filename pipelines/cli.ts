/**
 * The command line's entry: arguments in, exit code out. Started by `./gyrus`.
 *
 * @module
 */
import { main } from "./cli/main.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));
