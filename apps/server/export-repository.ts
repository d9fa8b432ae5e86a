import { stringify } from "yaml";
import { UsageError } from "../../src/base/errors.ts";
import { imageInput } from "../../src/compiler/lower.ts";
import { imageSizeOf } from "../../src/graph/network.ts";
import { type Model, resizesInGraph } from "../../src/model/model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import type { BatchSettings } from "./settings.ts";

/** Servers that a repository can be written for. */
export const repositoryTargets = ["triton", "kserve"] as const;
/** A server of {@link repositoryTargets}. */
export type RepositoryTarget = (typeof repositoryTargets)[number];

/** A repository's model: its name, and how it is to be batched. */
export interface RepositoryOptions {
  readonly target: RepositoryTarget;
  /** Letters, digits and hyphens: it is also the name of Kubernetes objects. */
  readonly name: string;
  readonly settings: BatchSettings;
}

const tritonImage = "nvcr.io/nvidia/tritonserver:26.08-py3";

/**
 * Files of a model repository for a server of several machines, by their paths: the model and its configuration, a
 * Dockerfile, and Kubernetes manifests.
 * @throws {UsageError} the name is not one of Kubernetes.
 */
export function modelRepository(model: Model, options: RepositoryOptions): ReadonlyMap<string, Uint8Array | string> {
  const { name, target } = options;
  if (!/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) {
    throw new UsageError({
      where: "option --name",
      what: "this is not a name of Kubernetes objects",
      received: name,
      expected: "up to 63 lower-case letters, digits and hyphens, the first one a letter",
    });
  }
  const folder = `model_repository/${name}`;
  return new Map<string, Uint8Array | string>([
    [`${folder}/1/model.onnx`, encodeModel(model)],
    [`${folder}/config.pbtxt`, tritonConfig(model, options)],
    [`${folder}/labels.txt`, `${model.labels.map((label) => label.replaceAll(/[\r\n]+/g, " ")).join("\n")}\n`],
    ["Dockerfile", target === "triton" ? tritonDockerfile : modelcarDockerfile],
    ...(target === "triton" ? tritonManifests(name) : kserveManifests(name)).map(
      (manifest) => [`kubernetes/${manifest.kind.toLowerCase()}.yaml`, stringify(manifest)] as const,
    ),
  ]);
}

/**
 * The model's configuration in protobuf's text format.
 * @see Triton's "Model Configuration"
 */
function tritonConfig({ network, labels, preprocessing }: Model, { name, settings }: RepositoryOptions): string {
  const { maxBatchSize, preferredBatchSize, maxQueueDelayMicroseconds, maxQueueSize, priorityLevels, instanceCount } =
    settings;
  const [height, width] = resizesInGraph(preprocessing) ? [-1, -1] : imageSizeOf(network);
  return [
    `name: ${JSON.stringify(name)}`,
    'backend: "onnxruntime"',
    `max_batch_size: ${maxBatchSize}`,
    ...(instanceCount > 1 ? [`instance_group [{ count: ${instanceCount} }]`] : []),
    `input [{ name: "${imageInput}", data_type: TYPE_UINT8, dims: [ ${height}, ${width}, 3 ] }]`,
    `output [{ name: ${JSON.stringify(network.output)}, data_type: TYPE_FP32, dims: [ ${labels.length} ], label_filename: "labels.txt" }]`,
    "dynamic_batching {",
    ...(preferredBatchSize.length > 0 ? [`  preferred_batch_size: [ ${preferredBatchSize.join(", ")} ]`] : []),
    `  max_queue_delay_microseconds: ${maxQueueDelayMicroseconds}`,
    ...(priorityLevels > 1
      ? [`  priority_levels: ${priorityLevels}`, `  default_priority_level: ${priorityLevels}`]
      : []),
    "  default_queue_policy {",
    "    timeout_action: REJECT",
    `    default_timeout_microseconds: ${settings.defaultTimeoutMicroseconds}`,
    "    allow_timeout_override: true",
    `    max_queue_size: ${maxQueueSize}`,
    "  }",
    "}",
    "",
  ].join("\n");
}

const tritonDockerfile = `# docker build -t REGISTRY/xception:1 .
FROM ${tritonImage}
COPY model_repository /models
EXPOSE 8000 8001 8002
USER 1000
CMD ["tritonserver", "--model-repository=/models", "--exit-timeout-secs=30"]
`;

const modelcarDockerfile = `# docker build -t REGISTRY/xception:1 . ; KServe mounts /models of an oci:// image.
FROM busybox:stable
COPY model_repository /models
USER 1000
`;

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: object;
  readonly spec: object;
}

function tritonManifests(name: string): readonly Manifest[] {
  const labels = { "app.kubernetes.io/name": name };
  const metadata = { name, labels };
  const probe = (path: string) => ({ httpGet: { path: `/v2/health/${path}`, port: "http" } });
  const container = {
    name: "triton",
    image: "REGISTRY/xception:1",
    ports: [
      { name: "http", containerPort: 8000 },
      { name: "grpc", containerPort: 8001 },
      { name: "metrics", containerPort: 8002 },
    ],
    startupProbe: { ...probe("ready"), periodSeconds: 5, failureThreshold: 60 },
    readinessProbe: { ...probe("ready"), periodSeconds: 5 },
    livenessProbe: { ...probe("live"), periodSeconds: 10 },
    resources: { requests: { cpu: "2", memory: "2Gi" }, limits: { memory: "4Gi" } },
    securityContext: { allowPrivilegeEscalation: false, runAsNonRoot: true },
  };
  return [
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels, annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "8002" } },
          spec: { terminationGracePeriodSeconds: 60, containers: [container] },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: {
        selector: labels,
        ports: [
          { name: "http", port: 8000, targetPort: "http" },
          { name: "grpc", port: 8001, targetPort: "grpc" },
        ],
      },
    },
    {
      apiVersion: "autoscaling/v2",
      kind: "HorizontalPodAutoscaler",
      metadata,
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
        minReplicas: 2,
        maxReplicas: 10,
        // Needs an adapter that offers Prometheus's metrics to the cluster.
        metrics: [
          {
            type: "Pods",
            pods: {
              metric: { name: "nv_inference_pending_request_count" },
              target: { type: "AverageValue", averageValue: "8" },
            },
          },
        ],
      },
    },
    disruptionBudget(name, labels),
  ];
}

function kserveManifests(name: string): readonly Manifest[] {
  return [
    {
      apiVersion: "serving.kserve.io/v1beta1",
      kind: "InferenceService",
      metadata: { name },
      spec: {
        predictor: {
          minReplicas: 2,
          maxReplicas: 10,
          scaleMetric: "concurrency",
          scaleTarget: 8,
          model: {
            modelFormat: { name: "onnx" },
            runtime: "kserve-tritonserver",
            protocolVersion: "v2",
            storageUri: "oci://REGISTRY/xception:1",
            resources: { requests: { cpu: "2", memory: "2Gi" }, limits: { memory: "4Gi" } },
          },
        },
      },
    },
    disruptionBudget(name, { "serving.kserve.io/inferenceservice": name }),
  ];
}

function disruptionBudget(name: string, matchLabels: Readonly<Record<string, string>>): Manifest {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name },
    spec: { minAvailable: 1, selector: { matchLabels } },
  };
}
