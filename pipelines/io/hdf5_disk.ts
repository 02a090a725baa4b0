import type { Dataset, Group } from "h5wasm";

// libhdf5 compiled to WebAssembly (npm h5wasm) sees only the files that this driver shows it.
//
// The package has a build for Node that reads the disk by itself. It is not used: it lists all environment variables
// when it loads (so Deno would need --allow-env for every one), it hides the cause of a failed write, and a hostile
// file could make it open other files by external links, virtual datasets or external storage. The build for the
// web needs no permission at all; below it gets a file system of exactly the files that were attached.

/** The functions of the WebAssembly module that are used here; negative statuses are failures. */
export interface Hdf5Module {
  HEAPU8: Uint8Array<ArrayBuffer>;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  open(path: string, mode: number, ordered: boolean, low: number, high: number): bigint;
  close_file(file: bigint): number;
  create_group(file: bigint, path: string): number;
  create_dataset(file: bigint, path: string, data: bigint, metadata: object): number;
  create_vlen_str_dataset(file: bigint, path: string, data: string[], metadata: object): number;
  resize_dataset(file: bigint, path: string, shape: bigint[]): number;
  get_type(file: bigint, path: string): number;
  get_names(file: bigint, path: string, recursive: boolean): string[];
  get_dataset_metadata(file: bigint, path: string): Hdf5Metadata;
  get_dataset_filters(file: bigint, path: string): { id: number; name: string }[];
  get_dataset_data: Hdf5Transfer;
  set_dataset_data: Hdf5Transfer;
}

/** Reads or writes a box of a dataset, or all of it for `null`, at a pointer into the module's memory. */
export type Hdf5Transfer = (
  file: bigint,
  path: string,
  count: bigint[] | null,
  offset: bigint[] | null,
  strides: bigint[] | null,
  pointer: bigint,
) => number;

/** Type and layout of a dataset, as libhdf5 describes it. */
export interface Hdf5Metadata {
  type: number;
  size: number;
  signed: boolean;
  vlen: boolean;
  shape: number[] | null;
  chunks: number[] | null;
  enum_type?: { members: Record<string, number> };
  virtual_sources?: { file_name: string }[];
}

/** A file that libhdf5 can open under `path`. */
export interface AttachedFile {
  /** Its name inside libhdf5. */
  readonly path: string;
  /** First error of the real file system, or `undefined`; libhdf5 itself only knows that something failed. */
  failure: unknown;
  /** While true, writes are dropped: after a failure libhdf5 can then still close its file. */
  drop: boolean;
  /** Forgets the file. The handle stays open. */
  detach(): void;
}

/** The loaded library. */
export interface Hdf5Library {
  readonly module: Hdf5Module;
  readonly Dataset: typeof Dataset;
  readonly Group: typeof Group;
  /** Opens an attached file (0 to read, 2 to create); negative where it cannot be. */
  open(path: string, mode: number): bigint;
  /** Shows an open file to libhdf5. */
  attach(file: Deno.FsFile): AttachedFile;
  /** What libhdf5 has complained about since the last call, "" for nothing. */
  takeComplaints(): string;
}

// Numbers of Emscripten's C library: error codes, and the bits that make a node a file or a folder.
const EIO = 29;
const ENOENT = 44;
const regularFile = 0o100666;
const folder = 0o040777;

interface DiskNode {
  id: number;
  mode: number;
  name: string;
  node_ops: object;
  stream_ops: object;
  disk: Deno.FsFile;
  attached: AttachedFile;
}

interface DiskStream {
  node: DiskNode;
  position: number;
  stream_ops: object;
}

interface DiskFileSystem {
  ErrnoError: new (errno: number) => Error;
  streams: DiskStream[];
  mkdir(path: string): void;
  mount(type: { mount(): DiskNode }, options: object, path: string): void;
  createNode(parent: DiskNode | null, name: string, mode: number, device: number): DiskNode;
  destroyNode(node: DiskNode): void;
}

/** Keeps the first error of the real file system, and gives libhdf5 the only one it understands. */
function guarded<T>(fs: DiskFileSystem, node: DiskNode, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    node.attached.failure ??= cause;
    throw new fs.ErrnoError(EIO);
  }
}

/** What libhdf5 asks about the real file behind a node, and how it cuts it. */
function nodeOperations(fs: DiskFileSystem): object {
  return {
    getattr(node: DiskNode) {
      const size = guarded(fs, node, () => node.disk.statSync().size);
      const time = new Date(0);
      const times = { atime: time, mtime: time, ctime: time };
      const blocks = { size, blksize: 4096, blocks: Math.ceil(size / 4096) };
      // libhdf5 tells files apart by device and inode.
      const identity = { dev: 1, ino: node.id, mode: node.mode, nlink: 1 };
      return { ...identity, uid: 0, gid: 0, rdev: 0, ...blocks, ...times };
    },
    setattr(node: DiskNode, { size }: { size?: number }) {
      if (size === undefined || node.attached.drop) return;
      guarded(fs, node, () => node.disk.truncateSync(size));
    },
  };
}

/** Reads and writes between the real file behind a node and the module's memory. */
function streamOperations(fs: DiskFileSystem): object {
  const bytesOf = (heap: Int8Array, at: number, length: number) =>
    new Uint8Array(heap.buffer, heap.byteOffset + at, length);
  return {
    read({ node }: DiskStream, heap: Int8Array, at: number, length: number, position: number) {
      return guarded(fs, node, () => {
        node.disk.seekSync(position, Deno.SeekMode.Start);
        const into = bytesOf(heap, at, length);
        let done = 0;
        while (done < length) {
          const count = node.disk.readSync(into.subarray(done));
          if (count === null) break;
          done += count;
        }
        return done;
      });
    },
    write({ node }: DiskStream, heap: Int8Array, at: number, length: number, position: number) {
      if (node.attached.drop) return length;
      return guarded(fs, node, () => {
        node.disk.seekSync(position, Deno.SeekMode.Start);
        const from = bytesOf(heap, at, length);
        for (let done = 0; done < length;) done += node.disk.writeSync(from.subarray(done));
        return length;
      });
    },
    llseek({ node, position }: DiskStream, offset: number, whence: number) {
      if (whence === 1) return offset + position;
      return whence === 2 ? offset + guarded(fs, node, () => node.disk.statSync().size) : offset;
    },
  };
}

/** Sends what libhdf5 prints on its standard error into a string. */
function captureComplaints(fs: DiskFileSystem): () => string {
  const decoder = new TextDecoder();
  let text = "";
  fs.streams[2].stream_ops = {
    ...fs.streams[2].stream_ops,
    write(_: DiskStream, heap: Int8Array, at: number, length: number) {
      // An error stack is about 3 kB; a loop of errors must not fill the memory.
      if (text.length < 100_000) {
        text += decoder.decode(new Uint8Array(heap.buffer, heap.byteOffset + at, length));
      }
      return length;
    },
  };
  return () => {
    const taken = text;
    text = "";
    return taken;
  };
}

async function load(): Promise<Hdf5Library> {
  const h5wasm = await import("h5wasm");
  const module = await h5wasm.ready as unknown as Hdf5Module;
  const fs = h5wasm.FS as unknown as DiskFileSystem;
  const operations = { node: nodeOperations(fs), stream: streamOperations(fs) };
  const noFile = {
    lookup() {
      throw new fs.ErrnoError(ENOENT);
    },
  };
  let root: DiskNode | undefined;
  fs.mkdir("/disk");
  fs.mount(
    {
      mount() {
        root = fs.createNode(null, "/", folder, 0);
        root.node_ops = noFile;
        root.stream_ops = {};
        return root;
      },
    },
    {},
    "/disk",
  );
  let count = 0;
  return {
    module,
    Dataset: h5wasm.Dataset,
    Group: h5wasm.Group,
    // -1: file format versions that every HDF5 since 1.8 reads.
    open: (path, mode) => module.open(path, mode, false, -1, -1),
    takeComplaints: captureComplaints(fs),
    attach(file: Deno.FsFile): AttachedFile {
      const node = fs.createNode(root!, `${count++}`, regularFile, 0);
      node.disk = file;
      node.node_ops = operations.node;
      node.stream_ops = operations.stream;
      node.attached = {
        path: `/disk/${node.name}`,
        failure: undefined,
        drop: false,
        detach: () => fs.destroyNode(node),
      };
      return node.attached;
    },
  };
}

let library: Promise<Hdf5Library> | undefined;

/** Loads libhdf5 at the first call (0.2 s, 4 MB of code), without any permission. */
export function loadHdf5(): Promise<Hdf5Library> {
  return library ??= load();
}
