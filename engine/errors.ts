/**
 * Typed errors. Wording: what could not be done, the rule, the value seen.
 *
 * @module
 */

/** A shape does not fit the operation. */
export class ShapeError extends Error {
  override name = "ShapeError";
}

/** A storage type does not fit the operation. */
export class DTypeError extends Error {
  override name = "DTypeError";
}

/** A tensor or device was used after it was disposed. */
export class DisposedError extends Error {
  override name = "DisposedError";
}

/** The adapter lacks a feature, or a size is above one of its limits. */
export class UnsupportedError extends Error {
  override name = "UnsupportedError";
}

/** A shader failed to compile or a dispatch was refused by the device. */
export class KernelError extends Error {
  override name = "KernelError";
}

/** A matrix has no Cholesky factor: it is not positive definite in f32. */
export class NotPositiveDefiniteError extends Error {
  override name = "NotPositiveDefiniteError";
}

/** The device was lost or ran out of memory while work was pending. */
export class DeviceError extends Error {
  override name = "DeviceError";
}
