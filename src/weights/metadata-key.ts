/** Under which name files of other programs hold our JSON document: in `metadata_props`, attributes, headers. */
export const metadataKey = "xception-ts";
