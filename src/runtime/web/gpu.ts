/** A GPU of WebGPU, as far as it is used here; TypeScript's DOM lacks it. */
export interface GpuDevice {
  /** Resolves when the GPU can no longer be used: its driver has crashed, or it was taken away. */
  readonly lost: Promise<{ readonly message: string }>;
  destroy(): void;
}

/** The part of an adapter that is used here. */
export interface GpuAdapter {
  readonly info: { readonly vendor: string; readonly architecture: string; readonly description: string };
  readonly features: ReadonlySet<string>;
  readonly limits: object;
  requestDevice(needs: {
    readonly requiredFeatures: readonly string[];
    readonly requiredLimits: Readonly<Record<string, number>>;
  }): Promise<GpuDevice>;
}

/** A GPU that is ready to compute. */
export interface Gpu {
  /** Its name, as far as the browser tells it. */
  readonly name: string;
  readonly device: GpuDevice;
  /** It computes with half precision. */
  readonly hasHalf: boolean;
}

/** Finds the GPU's adapter; a string is the reason that there is none. */
export async function findAdapter(): Promise<GpuAdapter | string> {
  const { gpu } = navigator as unknown as {
    readonly gpu?: { requestAdapter(options: { powerPreference: string }): Promise<GpuAdapter | null> };
  };
  if (gpu === undefined) return "this browser has no WebGPU, or the page is not served over HTTPS";
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }).catch(String);
  return adapter ?? "the browser offers no GPU";
}

/** Name of an adapter. */
export function adapterName({ info: { vendor, architecture, description } }: GpuAdapter): string {
  return description || [vendor, architecture].filter((part) => part !== "").join(" ") || "a GPU";
}

/** Limits that ONNX Runtime raises to the adapter's own: its buffers, and the size of its workgroups. */
const raised =
  /^max(BufferSize|StorageBufferBindingSize|Compute.*|StorageBuffersPerShaderStage|UniformBufferBindingSize)$/;

/** Opens the GPU; a string is the reason that it cannot be opened. */
export async function openGpu(): Promise<Gpu | string> {
  const adapter = await findAdapter();
  if (typeof adapter === "string") return adapter;
  const hasHalf = adapter.features.has("shader-f16");
  const requiredFeatures = ["shader-f16", "subgroups"].filter((feature) => adapter.features.has(feature));
  const requiredLimits: Record<string, number> = {};
  // Limits are properties of their class, not of the object.
  for (const name in adapter.limits) {
    if (raised.test(name)) requiredLimits[name] = (adapter.limits as Record<string, number>)[name]!;
  }
  const device = await adapter.requestDevice({ requiredFeatures, requiredLimits }).catch(String);
  if (typeof device === "string") return `the GPU cannot be opened: ${device}`;
  return { name: adapterName(adapter), device, hasHalf };
}
