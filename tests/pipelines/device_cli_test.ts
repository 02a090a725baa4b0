/**
 * The command line on a device that cannot do what is asked, or that goes away: one sentence, exit code 2, no output.
 */
import assert from "node:assert/strict";
import { gyrus } from "../console.ts";

/** Replaces a method until the scope ends. */
function patched<T extends object, K extends keyof T>(
  target: T,
  name: K,
  method: T[K],
): Disposable {
  const original = target[name];
  target[name] = method;
  return { [Symbol.dispose]: () => void (target[name] = original) };
}

Deno.test("bench --dtype f16 on an adapter without f16 is refused before anything is measured", async () => {
  const requestDevice = GPUAdapter.prototype.requestDevice;
  using _ = patched(GPUAdapter.prototype, "requestDevice", function (this: GPUAdapter, descriptor) {
    if ([...descriptor?.requiredFeatures ?? []].includes("shader-f16")) {
      return Promise.reject(new TypeError("requestDevice: shader-f16 is not supported"));
    }
    return requestDevice.call(this, descriptor);
  });
  const { code, out, errors } = await gyrus("bench", "relu", "--dtype", "f16");
  assert.equal(code, 2);
  assert.deepEqual(out, []);
  assert.equal(errors.length, 1);
  assert.match(errors[0], /^gyrus: Cannot store f16: it needs the feature shader-f16[^\n]*$/);
});

Deno.test("a device that goes away during a command is one sentence, without a partial output", async () => {
  const folder = await Deno.makeTempDir();
  const requestDevice = GPUAdapter.prototype.requestDevice;
  const { submit } = GPUQueue.prototype;
  const devices: GPUDevice[] = [];
  let submits = 0;
  using _device = patched(
    GPUAdapter.prototype,
    "requestDevice",
    async function (this: GPUAdapter, descriptor) {
      const device = await requestDevice.call(this, descriptor);
      devices.push(device);
      return device;
    },
  );
  using _submit = patched(GPUQueue.prototype, "submit", function (this: GPUQueue, buffers) {
    submit.call(this, buffers);
    if (++submits === 8) devices.at(-1)?.destroy();
  });
  try {
    const out = `${folder}/rows.json`;
    const { code, errors } = await gyrus("bench", "relu", "--samples", "3", "--out", out);
    assert(submits >= 8, `the device stayed for ${submits} submits`);
    assert.equal(code, 2);
    assert.equal(errors.length, 1);
    assert.match(errors[0], /^gyrus: Cannot [^\n]*$/);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
