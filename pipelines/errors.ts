/**
 * Bad user input: a file that is not what it claims to be, options that contradict each other, arrays
 * that do not fit together. The message is one sentence a user can act on; the command line prints it
 * and exits with 2, where any other error is a defect of the software.
 */
export class InputError extends Error {
  /** The class name, so that the kind survives a module loaded twice. */
  override readonly name = "InputError";
}
