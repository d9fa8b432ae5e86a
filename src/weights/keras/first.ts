/** Layers whose class had another name in Keras 1, and other names under which Keras 2 knows classes. */
const classes: Readonly<Record<string, string>> = {
  Convolution2D: "Conv2D",
  SeparableConvolution2D: "SeparableConv2D",
  MaxPool2D: "MaxPooling2D",
  GlobalAvgPool2D: "GlobalAveragePooling2D",
  GlobalMaxPool2D: "GlobalMaxPooling2D",
};

/** Fields that had another name in Keras 1. */
const fields: Readonly<Record<string, string>> = {
  nb_filter: "filters",
  subsample: "strides",
  border_mode: "padding",
  bias: "use_bias",
  output_dim: "units",
  p: "rate",
  dim_ordering: "data_format",
};

type Json = Readonly<Record<string, unknown>>;

/**
 * A layer of Keras 1 in the words of Keras 2; one of Keras 2 or 3 stays as it is.
 * @see keras/legacy/interfaces.py of Keras 2
 */
export function inTodaysWords(type: string, config: Json): { readonly type: string; readonly config: Json } {
  const today: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config)) today[fieldOf(name)] = value;
  const { nb_row: rows, nb_col: columns } = config;
  if (rows !== undefined && columns !== undefined) today.kernel_size = [rows, columns];
  if (config.dim_ordering === "tf") today.data_format = "channels_last";
  if (config.dim_ordering === "th") today.data_format = "channels_first";
  if (type === "Merge" && config.mode === "sum") return { type: "Add", config: today };
  return { type: Object.hasOwn(classes, type) ? classes[type]! : type, config: today };
}

function fieldOf(name: string): string {
  return Object.hasOwn(fields, name) ? fields[name]! : name;
}
