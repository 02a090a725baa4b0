/**
 * The three ways to give rows to threads that the row kernels share: a subgroup, a workgroup or one thread per row.
 *
 * @module
 */
import workgroupReduce from "../_lib/workgroup_reduce.wgsl" with { type: "text" };
import {
  type Args,
  type Caps,
  ceilDiv,
  type Constants,
  type Dims,
  grid1d,
  type KernelVariant,
} from "../kernel.ts";

/** WGSL files of a row kernel and what they need. */
export interface RowSources {
  /** Base of the variants' names. */
  readonly name: string;
  /** Files, fastest first. */
  readonly sources: {
    readonly subgroup: string;
    readonly workgroup: string;
    readonly naive: string;
  };
  /** Rows that one subgroup takes. */
  readonly rowsPerSubgroup: number;
  /** The subgroup variant reads rows as vec4s: cols must be divisible by 4. */
  readonly wholeVec4s?: boolean;
  /** Constants of all three. */
  constants?(dims: Dims, args: Args): Constants;
}

/** One subgroup size, so that a workgroup of that size is one subgroup. */
const hasLanes = ({ subgroupMinSize, subgroupMaxSize }: Caps) =>
  subgroupMinSize > 0 && subgroupMinSize === subgroupMaxSize;

/** Variants over `rows` and `cols`. */
export function rowVariants(
  { name, sources, rowsPerSubgroup, wholeVec4s = false, constants = () => ({}) }: RowSources,
): readonly KernelVariant[] {
  return [
    {
      name: `${name}_subgroup`,
      source: sources.subgroup,
      needs: ["subgroups"],
      constants: (dims, args, caps) => ({ ...constants(dims, args), SG: caps.subgroupMinSize }),
      supports: ({ cols }, caps) => hasLanes(caps) && (!wholeVec4s || cols % 4 === 0),
      // Of four rows at most, vec4s by lanes; twice.
      loopTurns: ({ cols }, { SG }) => 8 * (ceilDiv(cols, 4 * SG) + 3),
      workgroups: ({ rows }) => grid1d(ceilDiv(rows, rowsPerSubgroup)),
    },
    {
      name: `${name}_workgroup`,
      source: sources.workgroup,
      lib: [workgroupReduce],
      tunables: { WG: [64, 256] },
      constants,
      // A barrier costs a CPU driver hundreds of instructions: a thread per row is twice as fast there once there are rows enough.
      supports: ({ rows }, { isSoftware }) => !isSoftware || rows < 64,
      loopTurns: ({ cols }, { WG }) => 3 * (ceilDiv(cols, WG) + 1),
      workgroups: ({ rows }) => grid1d(rows),
    },
    {
      name: `${name}_naive`,
      source: sources.naive,
      tunables: { WG: [64] },
      constants,
      loopTurns: ({ cols }) => 3 * (cols + 1),
      workgroups: ({ rows }, { WG }) => grid1d(ceilDiv(rows, WG)),
    },
  ];
}
