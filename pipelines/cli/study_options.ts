/**
 * Settings of a study on the command line: `--config` with a file of them, and every one as a flag, which wins.
 *
 * @module
 */
import type { Command } from "commander";
import { studySpecs } from "../brain_sail/study_specs.ts";
import {
  fillSettings,
  flagOf,
  parseSettings,
  settingOfWords,
  type Settings,
  type SettingSpec,
} from "../brain_sail/study_settings.ts";
import { fileError } from "../io/files.ts";

/** Options that every command with settings has. */
export interface SettingsOptions {
  /** File of settings. */
  readonly settingsFile?: string;
  /** Print them and stop. */
  readonly printConfig?: boolean;
}

/** Which settings a command has as flags. */
export type FlagFilter = (spec: SettingSpec) => boolean;

/** Adds a flag for every setting; their values stay words until {@link settingsOf} checks them. */
export function addSettingFlags(command: Command, has: FlagFilter = () => true): Command {
  for (const { key, kind, about, fallback, choices } of studySpecs.filter(has)) {
    const many = kind.endsWith("s");
    const word = kind === "counts" || kind === "names"
      ? "name=value"
      : kind.startsWith("text")
      ? "text"
      : "n";
    const value = fallback === undefined
      ? ""
      : ` (default: ${typeof fallback === "object" ? JSON.stringify(fallback) : fallback})`;
    const among = choices ? `: ${choices.join(", ")}` : "";
    command.option(`--${flagOf(key)} <${word}${many ? "..." : ""}>`, `${about}${among}${value}`);
  }
  return command;
}

/**
 * The settings in force: flags, then the file, then the fallbacks.
 *
 * @param file of settings, undefined where there is none
 * @param options of the command, as commander collected them
 * @param beneath settings that hold where neither a flag nor the file says otherwise
 * @throws {InputError} when the file cannot be read, or a setting is not what it must be
 */
export function settingsOf(
  file: string | undefined,
  options: Readonly<Record<string, unknown>>,
  has: FlagFilter = () => true,
  beneath: Settings = {},
): Settings {
  const given: Record<string, Settings[string]> = {
    ...beneath,
    ...file === undefined ? {} : readFile(file),
  };
  for (const spec of studySpecs.filter(has)) {
    const words = options[spec.key];
    if (words === undefined) continue;
    given[spec.key] = settingOfWords(spec, Array.isArray(words) ? words : [String(words)]);
  }
  return fillSettings(studySpecs, given);
}

function readFile(path: string): Settings {
  let bytes: Uint8Array;
  try {
    bytes = Deno.readFileSync(path);
  } catch (cause) {
    throw fileError("read", path, cause);
  }
  return parseSettings(studySpecs, bytes, path);
}
