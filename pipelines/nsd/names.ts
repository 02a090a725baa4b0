/** Where the Natural Scenes Dataset keeps things, and what its labels mean. */

/** The kind of betas that encoding models are fitted to. */
export const BETAS = "betas_fithrf_GLMdenoise_RR";

/** NSD's fixed point of 16-bit betas: stored value / 300 = percent signal change. */
export const BETA_SCALE = 300;

/** Trials of every session of NSD (data manual, "Experimental design"). */
export const TRIALS_PER_SESSION = 750;

/** NSD's name of subject `s`, counted from 1. */
export function subjectName(s: number): string {
  return `subj${String(s).padStart(2, "0")}`;
}

/** Paths below the root of the data set; subjects and sessions are counted from 1. */
export const nsdPaths = {
  stimuli: "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5",
  design: "nsddata/experiments/nsd/nsd_expdesign",
  stimulusInfo: "nsddata/experiments/nsd/nsd_stim_info_merged.csv",
  /** COCO's `instances` or `captions` of one of its parts, which NSD leaves to the user to fetch. */
  coco: (kind: "instances" | "captions", split: string): string =>
    `coco/annotations/${kind}_${split}.json`,
  /** Folder of a subject's betas. */
  betas: (s: number, kind: string = BETAS): string =>
    `nsddata_betas/ppdata/${subjectName(s)}/func1pt8mm/${kind}`,
  /** File of one session within the folder of betas. */
  session: (session: number): string => `betas_session${String(session).padStart(2, "0")}.hdf5`,
  /** Folder of a subject's other volumes: brain mask, localizer contrasts. */
  volumes: (s: number): string => `nsddata/ppdata/${subjectName(s)}/func1pt8mm`,
  /** Folder of a subject's label volumes. */
  roi: (s: number): string => `nsddata/ppdata/${subjectName(s)}/func1pt8mm/roi`,
  /** Where the vertices of a subject's surface lie in its volumes on one of three layers of the grey matter. */
  coordinates: (s: number, hemisphere: "lh" | "rh", layer: 1 | 2 | 3 = 2): string =>
    `nsddata/ppdata/${subjectName(s)}/transforms/${hemisphere}.func1pt8-to-layerB${layer}.mgz`,
  /** Folder of the names of a subject's labels. */
  labels: (s: number): string => `nsddata/freesurfer/${subjectName(s)}/label`,
} as const;

/** The label volumes that name regions, and the names of their values (NSD data manual, "ROIs"). */
export const ATLASES: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  "prf-visualrois": { 1: "V1v", 2: "V1d", 3: "V2v", 4: "V2d", 5: "V3v", 6: "V3d", 7: "hV4" },
  "floc-faces": { 1: "OFA", 2: "FFA-1", 3: "FFA-2", 4: "mTL-faces", 5: "aTL-faces" },
  "floc-bodies": { 1: "EBA", 2: "FBA-1", 3: "FBA-2", 4: "mTL-bodies" },
  "floc-places": { 1: "OPA", 2: "PPA", 3: "RSC" },
  "floc-words": { 1: "OWFA", 2: "VWFA-1", 3: "VWFA-2", 4: "mfs-words", 5: "mTL-words" },
  "food": { 1: "food" }, // Not NSD's own: Jain et al. 2023 give masks of this name.
  "properties": { 1: "depth", 2: "saturation", 3: "luminance", 4: "noise" }, // The phantom's own.
};

/** The contrast of each localizer volume, whose t values lie in `floc_…tval.nii.gz` (data manual, "fLoc"). */
export const FLOC_CONTRASTS: Readonly<Record<string, string>> = {
  "floc-faces": "faces",
  "floc-bodies": "bodies",
  "floc-places": "places",
  "floc-words": "characters",
};

/** The region that a label belongs to: its parts (V1v, V1d; FFA-1, FFA-2) joined. */
export function regionOf(label: string): string {
  return label.replace(/^((?:[lr]h\.)?)hV4$/, "$1V4")
    .replace(/^((?:[lr]h\.)?V[123])[vd]$/, "$1").replace(/-[12]$/, "");
}
