import { InputError } from "../errors.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { type FeatureNodes, nNodesOf } from "../spectral/feature_nodes.ts";
import { nodesOf, type NodeSource } from "../spectral/node_source.ts";

/** Features of one layer of one model: patches of images, image by image, row by row. */
export interface GraphPart {
  /** Number or name of the model. */
  readonly model: number | string;
  /** Layer, from 0. */
  readonly layer: number;
  /** Rows and columns of an image's patches. */
  readonly grid: readonly [height: number, width: number];
  /** Features in the shared space, `[nImages · height · width, width]`; read piece by piece where they are on disk. */
  readonly features: HostMatrix | NodeSource;
}

/** Where the nodes of one layer of one model are in a joint graph. */
export interface GraphSlice extends Omit<GraphPart, "features"> {
  /** First node. */
  readonly start: number;
  /** One after the last node. */
  readonly end: number;
  /** Images. */
  readonly nImages: number;
}

/** What a node is. */
export interface GraphPlace {
  /** Number of its slice. */
  readonly slice: number;
  /** Its model. */
  readonly model: number | string;
  /** Its layer, from 0. */
  readonly layer: number;
  /** Image, from 0. */
  readonly image: number;
  /** Patch of the image, row by row. */
  readonly patch: number;
}

/**
 * Patches of images × layers × models as the nodes of one graph, slice after slice: one cut of it gives concepts that all of them share
 * (the paper's joint graph). Features are read from where they are, so that the graph may be larger than memory.
 */
export class JointGraph implements NodeSource {
  readonly #sources: readonly NodeSource[];

  /** @internal Use {@link joinGraph}. */
  constructor(
    sources: readonly NodeSource[],
    /** Nodes and features. */
    readonly shape: readonly [nNodes: number, width: number],
    /** One layer of one model each. */
    readonly slices: readonly GraphSlice[],
  ) {
    this.#sources = sources;
    Object.freeze(this);
  }

  /** Features of nodes `start` to before `end`, `[end − start, width]`. */
  readRows(start: number, end: number): Float32Array<ArrayBuffer> {
    const width = this.shape[1], out = new Float32Array((end - start) * width);
    for (const [s, slice] of this.slices.entries()) {
      const from = Math.max(start, slice.start), to = Math.min(end, slice.end);
      if (from >= to) continue;
      const rows = this.#sources[s].readRows(from - slice.start, to - slice.start);
      out.set(rows, (from - start) * width);
    }
    return out;
  }

  /**
   * The slice of a layer.
   *
   * @throws {InputError} when there is none
   */
  sliceOf(model: number | string, layer: number): GraphSlice {
    const found = this.slices.find((slice) => slice.model === model && slice.layer === layer);
    if (found) return found;
    throw new InputError(
      `Cannot take layer ${layer} of model ${model}: the graph has ${
        this.slices.map((slice) => `${slice.model}.${slice.layer}`).join(", ")
      }`,
    );
  }

  /**
   * What a node is.
   *
   * @throws {InputError} when there is no such node
   */
  placeOf(node: number): GraphPlace {
    const slice = this.slices.findIndex(({ start, end }) => node >= start && node < end);
    if (slice < 0 || !Number.isInteger(node)) {
      throw new InputError(`Cannot place node ${node}: there are ${this.shape[0]}`);
    }
    const { model, layer, start, grid: [height, width] } = this.slices[slice];
    const at = node - start, patches = height * width;
    return { slice, model, layer, image: Math.floor(at / patches), patch: at % patches };
  }

  /**
   * The node of a place.
   *
   * @throws {InputError} when the slice has no such image or patch
   */
  nodeOf({ slice, image, patch }: Pick<GraphPlace, "slice" | "image" | "patch">): number {
    const { start, nImages, grid: [height, width] } = this.slices[slice];
    if (!(image >= 0 && image < nImages && patch >= 0 && patch < height * width)) {
      throw new InputError(
        `Cannot find patch ${patch} of image ${image}: slice ${slice} has ${nImages} images of ${height}x${width}`,
      );
    }
    return start + image * height * width + patch;
  }
}

/**
 * Joins layers and models in one graph.
 *
 * @throws {InputError} when there is no part, features differ in width, or rows are no whole number of images
 */
export function joinGraph(parts: readonly GraphPart[]): JointGraph {
  if (parts.length === 0) throw new InputError("Cannot join a graph of no features");
  const sources = parts.map(({ features }) => nodesOf(features));
  const width = sources[0].shape[1];
  let start = 0;
  const slices = parts.map(({ model, layer, grid }, s): GraphSlice => {
    const [rows, own] = sources[s].shape, patches = grid[0] * grid[1];
    const nImages = rows / patches;
    if (own !== width || !Number.isInteger(nImages) || nImages === 0) {
      throw new InputError(
        `Cannot join layer ${layer} of model ${model}, [${rows},${own}] on a grid of ${grid[0]}x${
          grid[1]
        }: ` +
          `features must have ${width} channels, as the first, and whole images; align them first`,
      );
    }
    const slice = { model, layer, grid, start, end: start + rows, nImages };
    start += rows;
    return slice;
  });
  return new JointGraph(sources, [start, width], slices);
}

/**
 * Joins the arrays of files in one graph, an array for each layer of a model; nothing is read until rows are asked for.
 *
 * @param nodes stays open as long as the graph is read
 * @param names model and layer of each array
 * @throws {InputError} when there is not a name for each array, or an array has no images
 */
export function joinFiles(
  nodes: FeatureNodes,
  names: readonly Pick<GraphPart, "model" | "layer">[],
): JointGraph {
  if (names.length !== nodes.parts.length) {
    throw new InputError(
      `Cannot join ${nodes.parts.length} arrays by ${names.length} names: there must be one for each`,
    );
  }
  return joinGraph(nodes.parts.map((part, i): GraphPart => {
    const { firstNode, grid } = part;
    if (!grid) {
      throw new InputError(
        `Cannot join ${part.source}: it must be images of patches, its rows are nodes`,
      );
    }
    const features: NodeSource = {
      shape: [nNodesOf(part), nodes.shape[1]],
      readRows: (start, end) => nodes.readRows(firstNode + start, firstNode + end),
    };
    return { ...names[i], grid, features };
  }));
}
