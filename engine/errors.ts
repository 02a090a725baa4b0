/**
 * Typed errors. Wording: what could not be done, the rule, the value seen.
 *
 * @module
 */

/** A shape does not fit the operation. */
export class ShapeError extends Error {
  /** `"ShapeError"` */
  override name: string = "ShapeError";
}

/** A storage type does not fit the operation. */
export class DTypeError extends Error {
  /** `"DTypeError"` */
  override name: string = "DTypeError";
}

/** A tensor or device was used after it was disposed. */
export class DisposedError extends Error {
  /** `"DisposedError"` */
  override name: string = "DisposedError";
}

/** The adapter lacks a feature, or a size is above one of its limits. */
export class UnsupportedError extends Error {
  /** `"UnsupportedError"` */
  override name: string = "UnsupportedError";
}

/** A shader failed to compile or a dispatch was refused by the device. */
export class KernelError extends Error {
  /** `"KernelError"` */
  override name: string = "KernelError";
}

/** A matrix has no Cholesky factor: it is not positive definite in f32. */
export class NotPositiveDefiniteError extends Error {
  /** `"NotPositiveDefiniteError"` */
  override name: string = "NotPositiveDefiniteError";
}

/** The device was lost or ran out of memory while work was pending. */
export class DeviceError extends Error {
  /** `"DeviceError"` */
  override name: string = "DeviceError";
}
